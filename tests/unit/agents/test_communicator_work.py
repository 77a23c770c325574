"""Whom the communicator talks to, in which order, and what stops it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.changes import AnswerVisitor, FinishTodo, MarkRead, SendMessage
from agents.communicator import agent as communicator
from agents.communicator.budget import HOURLY_REPLIES, MAX_HOP
from agents.communicator.output import CommunicatorReplies
from agents.outcome import Outcome, ReplyRejected
from agents.testing import FakeStack, run_once, scripted_model
from agents.work import Work

OTHER = UUID(int=77)


def stack_with_idea() -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Focus timer")
    return stack


def next_work(stack: FakeStack) -> Work:
    (work,) = communicator.find_work(stack.snapshot(), stack.now).work
    return work


def replies(stack: FakeStack, *ids: UUID) -> Outcome:
    said = [{"message_id": str(one), "content": "Thanks!"} for one in ids]
    outcome = run_once(stack, communicator, next_work(stack), scripted_model({"thinking": "t", "replies": said}))
    assert isinstance(outcome, Outcome)
    return outcome


def test_a_visitor_comes_first_and_is_urgent() -> None:
    stack = stack_with_idea()
    stack.receive("Hi", sender=OTHER)
    first = stack.say("What is this?")
    stack.say("And when?")
    work = next_work(stack)
    assert (work.priority, work.key, work.urgent) == (10, f"visitor:{first}", True)


def test_exactly_one_answer_per_message() -> None:
    stack = stack_with_idea()
    line = stack.say("What is this?")
    work = next_work(stack)
    reply = {"thinking": "t", "answer": "A timer."}
    outcome = run_once(stack, communicator, work, scripted_model(reply))
    assert isinstance(outcome, Outcome)
    assert outcome.changes == (AnswerVisitor(message_id=line, content="A timer."),)
    assert communicator.find_work(stack.snapshot(), stack.now).work == ()
    again = run_once(stack, communicator, work, scripted_model(reply))
    assert isinstance(again, ReplyRejected)
    assert len(stack.answers) == 1


def test_a_visitor_whose_answer_failed_waits_for_the_retry() -> None:
    stack = stack_with_idea()
    stack.say("What is this?")
    stack.fail(next_work(stack), "no reply", timedelta(minutes=1))
    agenda = communicator.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), stack.now + timedelta(minutes=1))


def test_earlier_turns_of_this_visitor_reach_the_question() -> None:
    stack = stack_with_idea()
    for sender, text in (("Ada", "First of Ada"), ("Bob", "First of Bob")):
        stack.say(text, sender)
        run_once(stack, communicator, next_work(stack), scripted_model({"thinking": "t", "answer": f"To {sender}"}))
    stack.say("And now?", "Ada")
    user = communicator.ask(stack.snapshot(), next_work(stack)).user
    assert "First of Ada" in user
    assert "First of Bob" not in user


def test_the_planners_announcement_waits_for_a_version_and_goes_to_all() -> None:
    stack = stack_with_idea()
    todo = stack.add_todo("Announce it", assigned_to="communicator")
    assert communicator.find_work(stack.snapshot(), stack.now).work == ()
    stack.publish("<html></html>")
    outcome = run_once(
        stack, communicator, next_work(stack), scripted_model({"thinking": "t", "announcement": "Version 1 is live."})
    )
    assert isinstance(outcome, Outcome)
    assert outcome.changes == (SendMessage(content="Version 1 is live.", hop=0), FinishTodo(id=todo))


def test_a_persons_announcement_goes_at_once() -> None:
    stack = stack_with_idea()
    todo = stack.add_todo("Say hello", assigned_to="communicator", assigned_by="operator")
    assert next_work(stack).key == f"todo:{todo}"


@pytest.mark.parametrize(("hop", "answered"), [(0, 1), (1, 1), (2, 0), (9, 0)])
def test_the_hop_limit(hop: int, answered: int) -> None:
    stack = stack_with_idea()
    message = stack.receive("How are you?", sender=OTHER, hop=hop)
    outcome = replies(stack, message)
    assert MarkRead(message_ids=(message,)) in outcome.changes
    assert [sent.hop for sent in stack.sent] == [hop + 1] * answered
    assert all(sent.to_stack_id == OTHER and sent.hop <= MAX_HOP for sent in stack.sent)


def test_own_messages_are_no_work() -> None:
    stack = stack_with_idea()
    stack.receive("My own words", sender=stack.snapshot().stack.id, kind="broadcast")
    assert communicator.find_work(stack.snapshot(), stack.now).work == ()


def test_a_broadcast_is_answered_directly_or_not_at_all() -> None:
    stack = stack_with_idea()
    message = stack.receive("We are live!", sender=OTHER, kind="broadcast")
    replies(stack, message)
    assert [sent.to_stack_id for sent in stack.sent] == [OTHER]


def test_one_reply_per_sender_then_a_cool_down() -> None:
    stack = stack_with_idea()
    first, second = stack.receive("One", sender=OTHER), stack.receive("Two", sender=OTHER)
    replies(stack, first, second)
    assert len(stack.sent) == 1
    replies(stack, stack.receive("Three", sender=OTHER))
    assert len(stack.sent) == 1
    stack.pass_time(minutes=10)
    replies(stack, stack.receive("Four", sender=OTHER))
    assert len(stack.sent) == 2


def test_the_hourly_budget() -> None:
    stack = stack_with_idea()
    for number in range(10):
        replies(stack, stack.receive("Hi", sender=UUID(int=100 + number)))
    assert len(stack.sent) == HOURLY_REPLIES
    stack.pass_time(hours=1)
    replies(stack, stack.receive("Hi", sender=UUID(int=200)))
    assert len(stack.sent) == HOURLY_REPLIES + 1


def test_broadcasts_nobody_may_answer_are_read_together_later() -> None:
    stack = stack_with_idea()
    stack.receive("Old news", sender=OTHER, hop=2, kind="broadcast")
    agenda = communicator.find_work(stack.snapshot(), stack.now)
    assert agenda.work == ()
    assert agenda.next_at is not None
    (digest,) = communicator.find_work(stack.snapshot(), agenda.next_at).work
    assert digest.priority == 3


def test_a_complete_project_says_nothing_more() -> None:
    stack = stack_with_idea()
    stack.phase = "complete"
    stack.say("Hello?")
    stack.receive("Hi", sender=OTHER)
    stack.add_todo("Announce", assigned_to="communicator")
    agenda = communicator.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), None)


mail = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 10), st.sampled_from(["direct", "broadcast"])), min_size=1, max_size=20
)


@given(mail, st.lists(st.integers(0, 25), max_size=3))
def test_no_history_of_mail_leads_beyond_the_limits(rows: list[tuple[int, int, str]], chosen: list[int]) -> None:
    stack = stack_with_idea()
    ids = [stack.receive("Hi", sender=UUID(int=100 + who), hop=hop, kind=kind) for who, hop, kind in rows]
    stack.pass_time(minutes=11)
    snapshot = stack.snapshot()
    (work,) = communicator.find_work(snapshot, stack.now).work
    said: list[dict[str, Any]] = [
        {"message_id": str(ids[one]) if one < len(ids) else "unknown", "content": "x"} for one in chosen
    ]
    outcome = communicator.interpret(CommunicatorReplies(thinking="t", replies=said), snapshot, work)  # type: ignore[arg-type]
    sent = [change for change in outcome.changes if isinstance(change, SendMessage)]
    assert all(change.to_stack_id is not None and change.hop <= MAX_HOP for change in sent)
    assert len({change.to_stack_id for change in sent}) == len(sent)
    assert outcome.changes[0] == MarkRead(message_ids=tuple(ids))
