"""What the communicator's words change: one answer per visitor, one broadcast per announcement, few direct replies."""

from __future__ import annotations

from typing import assert_never

from agents.changes import AnswerVisitor, Change, FinishTodo, MarkRead, Remember, SendMessage
from agents.communicator.ask import announcement_of, messages_of, question_of
from agents.communicator.budget import answerable, sent_replies
from agents.communicator.output import CommunicatorAnnouncement, CommunicatorAnswer, CommunicatorReplies
from agents.memory.learned import learned
from agents.outcome import Outcome, ReplyRejected, recent, shortened
from agents.snapshot import Snapshot
from agents.work import Work

Reply = CommunicatorAnswer | CommunicatorAnnouncement | CommunicatorReplies


def interpret(reply: Reply, snapshot: Snapshot, work: Work) -> Outcome:
    """The words as changes; raises ReplyRejected when what they answer is not there any more."""
    match reply:
        case CommunicatorAnswer():
            return _answer(reply, snapshot, work)
        case CommunicatorAnnouncement():
            return _announce(reply, snapshot, work)
        case CommunicatorReplies():
            return _reply(reply, snapshot, work)
        case _:
            assert_never(reply)


def _answer(reply: CommunicatorAnswer, snapshot: Snapshot, work: Work) -> Outcome:
    question = question_of(snapshot, work)
    if question is None:
        raise ReplyRejected(f"{work.key} does not wait for an answer any more")
    return _outcome(
        reply,
        snapshot,
        work,
        "respond_to_user",
        {"sender": question.sender_name, "length": len(reply.answer)},
        AnswerVisitor(message_id=question.id, content=reply.answer),
        *learned(reply.learned),
    )


def _announce(reply: CommunicatorAnnouncement, snapshot: Snapshot, work: Work) -> Outcome:
    todo = announcement_of(snapshot, work)
    if todo is None:
        raise ReplyRejected(f"{work.key} is not open any more, so there is nothing to announce")
    return _outcome(
        reply,
        snapshot,
        work,
        "announce",
        {"todo": todo.content[:200]},
        SendMessage(content=reply.announcement, hop=0),
        FinishTodo(id=todo.id),
    )


def _reply(reply: CommunicatorReplies, snapshot: Snapshot, work: Work) -> Outcome:
    messages = messages_of(snapshot, work)
    if not messages:
        raise ReplyRejected(f"{work.key}: the messages have been read already")
    allowed = {str(message.id): message for message in answerable(snapshot, messages, snapshot.now)}
    answered: dict[str, SendMessage] = {}
    for draft in reply.replies:
        message = allowed.get(draft.message_id)
        if message is not None:
            sent = SendMessage(to_stack_id=message.from_stack_id, content=draft.content, hop=message.hop + 1)
            answered.setdefault(draft.message_id, sent)
    changes: list[Change] = [MarkRead(message_ids=tuple(message.id for message in messages)), *answered.values()]
    if answered:
        kept = [[to, at.isoformat()] for to, at in sent_replies(snapshot, snapshot.now)]
        kept += [[str(sent.to_stack_id), snapshot.now.isoformat()] for sent in answered.values()]
        changes.append(Remember(set={"replies": kept}))
    changes += learned(reply.learned)
    result: dict[str, object] = {"read": len(messages), "answered": len(answered)}
    return _outcome(reply, snapshot, work, "communicate", result, *changes)


def _outcome(
    reply: Reply, snapshot: Snapshot, work: Work, action: str, result: dict[str, object], *changes: Change
) -> Outcome:
    return Outcome(
        thought=shortened(reply.thinking),
        action=action,
        result=result,
        changes=changes,
        context=recent(snapshot.agent("communicator").context, reply.thinking, work.reason),
    )
