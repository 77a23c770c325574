"""What the communicator is shown: only facts it may repeat in public."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from agents.ask import Ask, cut, instructions, with_context
from agents.communicator.budget import answerable
from agents.communicator.output import CommunicatorAnnouncement, CommunicatorAnswer, CommunicatorReplies
from agents.memory.window import known
from agents.snapshot import NAMELESS, Snapshot, TeamMessage, Todo, VisitorMessage
from agents.work import Work


def ask(snapshot: Snapshot, work: Work) -> Ask:
    task, output, details = _task(snapshot, work)
    return Ask(
        system=instructions(__package__),
        user=with_context(task, facts(snapshot) | details),
        output=output,
        temperature=0.8,
        max_output_tokens=1500,
        tier="small",
    )


def _task(snapshot: Snapshot, work: Work) -> tuple[str, type[BaseModel], dict[str, Any]]:
    kind = work.item.kind if work.item else "message"
    if kind == "visitor":
        return "Answer this visitor.", CommunicatorAnswer, _visitor_details(snapshot, work)
    if kind == "todo":
        return "Write this announcement for all teams.", CommunicatorAnnouncement, _announcement_details(snapshot, work)
    return (
        "Read the mail of other teams; answer if it helps.",
        CommunicatorReplies,
        _team_details(snapshot, work),
    )


def question_of(snapshot: Snapshot, work: Work) -> VisitorMessage | None:
    return next((one for one in snapshot.visitor_messages if one.id in _ids(work)), None)


def announcement_of(snapshot: Snapshot, work: Work) -> Todo | None:
    return next((todo for todo in snapshot.todos if todo.id in _ids(work)), None)


def messages_of(snapshot: Snapshot, work: Work) -> tuple[TeamMessage, ...]:
    return tuple(message for message in snapshot.team_messages if message.id in _ids(work))


def _ids(work: Work) -> frozenset[UUID]:
    return frozenset(work.item.ids) if work.item else frozenset()


def facts(snapshot: Snapshot) -> dict[str, Any]:
    idea, artifact = snapshot.idea, snapshot.artifact
    return {
        "role": "communicator",
        "stack": {"id": str(snapshot.stack.id), "name": snapshot.stack.name, "phase": snapshot.stack.phase},
        "idea": {"title": idea.title, "description": cut(idea.description, 1000)} if idea else None,
        "version": artifact.version if artifact else None,
        "version_description": artifact.metadata.get("description", "") if artifact else None,
        "done": [todo.content for todo in snapshot.done],
        "open": [todo.content for todo in snapshot.todos if todo.status != "failed"][:10],
        "counts": snapshot.todo_counts.model_dump(),
        "memory": known(snapshot),
    }


def _visitor_details(snapshot: Snapshot, work: Work) -> dict[str, Any]:
    question = question_of(snapshot, work)
    sender = question.sender_name if question else ""
    return {
        "task": "visitor",
        "question": {"sender": sender, "text": cut(question.content, 2000)} if question else None,
        "earlier": [
            {"text": cut(one.content, 400), "reply": cut(one.reply, 400)}
            for one in snapshot.conversation
            if one.sender_name == sender != NAMELESS
        ][-5:],
    }


def _announcement_details(snapshot: Snapshot, work: Work) -> dict[str, Any]:
    todo = announcement_of(snapshot, work)
    return {"task": "announce", "todo": todo.content if todo else None}


def _team_details(snapshot: Snapshot, work: Work) -> dict[str, Any]:
    messages = messages_of(snapshot, work)
    allowed = {message.id for message in answerable(snapshot, messages, snapshot.now)}
    return {
        "task": "team",
        "messages": [
            {
                "id": str(message.id),
                "from": message.from_name or "somebody",
                "kind": message.message_type,
                "text": cut(message.content, 800),
                "may_answer": message.id in allowed,
            }
            for message in messages
        ],
    }
