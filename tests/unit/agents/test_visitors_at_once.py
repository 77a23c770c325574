"""Several visitors of one stack: all at once, the lines of each in order, one answer a line, everybody with a past."""

from __future__ import annotations

import json
from datetime import timedelta

from agents.communicator import agent as communicator
from agents.testing import FakeStack, run_once, scripted_model
from agents.work import Work

ANSWER = {"thinking": "t", "answer": "A tea timer."}


def waiting(stack: FakeStack) -> list[Work]:
    return list(communicator.find_work(stack.snapshot(), stack.now).work)


def with_idea() -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Tea timer")
    return stack


def test_everybody_s_first_line_is_answered_in_one_stage() -> None:
    stack = with_idea()
    lines = [stack.say(f"Question of {name}", name) for name in ("Ada", "Bob", "Cyd")]
    second = stack.say("Another of Ada", "Ada")
    works = waiting(stack)
    assert [work.key for work in works] == [f"visitor:{line}" for line in lines]
    assert all(work.beside and work.urgent for work in works)
    for work in works:
        run_once(stack, communicator, work, scripted_model(ANSWER))
    assert [work.key for work in waiting(stack)] == [f"visitor:{second}"]


def test_a_visitor_s_next_line_waits_for_one_that_is_tried_again() -> None:
    stack = with_idea()
    first, other = stack.say("Hm", "Ada"), stack.say("Hello", "Bob")
    stack.say("Hello?", "Ada")
    stack.visitors[0]["available_at"] = stack.now + timedelta(seconds=5)
    assert [work.key for work in waiting(stack)] == [f"visitor:{other}"]
    assert communicator.find_work(stack.snapshot(), stack.now).next_at == stack.visitors[0]["available_at"]
    stack.pass_time(seconds=6)
    assert [work.key for work in waiting(stack)] == [f"visitor:{first}", f"visitor:{other}"]


def test_people_without_a_name_are_taken_for_different_people() -> None:
    stack = with_idea()
    for number in range(3):
        stack.say(f"Question {number}", "Visitor")
    assert len(waiting(stack)) == 3
    run_once(stack, communicator, waiting(stack)[0], scripted_model(ANSWER))
    shown = json.loads(
        communicator.ask(stack.snapshot(), waiting(stack)[0]).user.split("```json\n")[1].split("\n```")[0]
    )
    assert shown["earlier"] == []


def test_mail_and_announcements_wait_for_visitors_and_come_alone() -> None:
    stack = with_idea()
    stack.publish("<!doctype html>")
    stack.add_todo("Tell", assigned_to="communicator")
    stack.say("Hello", "Ada")
    assert [work.priority for work in waiting(stack)] == [10]
    run_once(stack, communicator, waiting(stack)[0], scripted_model(ANSWER))
    assert [work.beside for work in waiting(stack)] == [False]
