"""What the reviewer reviews, and that its facts are facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.changes import Advise, Remember
from agents.clock import clock
from agents.outcome import Outcome, ReplyRejected
from agents.reviewer import agent as reviewer
from agents.reviewer.output import ReviewerReply
from agents.testing import START, FakeStack, run_once, scripted_model

GOOD = (
    '<!doctype html><html lang="en"><head><title>t</title><meta name="viewport" content="width=device-width"></head>'
    "<body><h1>t</h1></body></html>"
)
CONTENT: dict[str, Any] = {"thinking": "fine", "verdict": "ready", "issues": [], "recommendations": []}


def stack_with(page: str) -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Focus timer")
    stack.publish(page)
    return stack


def review(stack: FakeStack, **reply: Any) -> Outcome:
    (work,) = reviewer.find_work(stack.snapshot(), stack.now).work
    outcome = run_once(stack, reviewer, work, scripted_model(CONTENT | reply))
    assert isinstance(outcome, Outcome)
    return outcome


def test_each_version_is_reviewed_once_and_time_makes_no_work() -> None:
    stack = stack_with(GOOD)
    (work,) = reviewer.find_work(stack.snapshot(), stack.now).work
    assert (work.priority, work.key) == (6, "review:v1")
    review(stack)
    stack.pass_time(hours=10)
    agenda = reviewer.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), None)
    stack.publish(GOOD + "<!-- 2 -->")
    assert reviewer.find_work(stack.snapshot(), stack.now).work[0].key == "review:v2"


def test_nothing_to_review_before_the_first_and_after_the_last_version() -> None:
    assert reviewer.find_work(FakeStack().snapshot(), FakeStack().now).work == ()
    stack = stack_with(GOOD)
    stack.phase = "complete"
    assert reviewer.find_work(stack.snapshot(), stack.now).work == ()


def test_a_clean_page_leaves_the_planner_alone() -> None:
    outcome = review(stack_with(GOOD))
    assert [type(change) for change in outcome.changes] == [Remember]
    assert outcome.result["verdict"] == "ready"


def test_facts_are_reported_whatever_the_model_thinks() -> None:
    stack = stack_with(GOOD.replace(' lang="en"', ""))
    outcome = review(stack)
    assert outcome.result["verdict"] == "needs_work"
    (advice,) = [change for change in outcome.changes if isinstance(change, Advise)]
    assert advice.agent == "planner"
    assert {item["severity"] for item in advice.items.values()} == {"major"}
    assert all(item_id.startswith("v1:lang") for item_id in advice.items)


def test_opinions_and_recommendations_have_ids_too() -> None:
    stack = stack_with(GOOD)
    review(
        stack,
        verdict="needs_work",
        issues=[{"severity": "critical", "description": "Start does nothing"}],
        recommendations=["Make Start work first"],
    )
    inbox = stack.agents["planner"]["inbox"]
    assert set(inbox) == {"v1:opinion:1", "v1:advice:1"}
    assert stack.agents["reviewer"]["memory"]["open_issues"][0]["severity"] == "critical"


def test_late_opinions_are_no_longer_critical_but_facts_are() -> None:
    stack = stack_with(GOOD.replace("<h1>", "<script>fetch('/x')</script><h1>"))
    stack.pass_time(hours=7)
    review(stack, issues=[{"severity": "critical", "description": "I would pivot"}])
    kept = stack.agents["reviewer"]["memory"]["open_issues"]
    assert [(one["id"], one["severity"]) for one in kept] == [("v1:network:1", "critical"), ("v1:opinion:1", "major")]


@pytest.mark.parametrize(
    ("minutes", "scope"),
    [(0, "full scope"), (245, "moderate cuts"), (340, "aggressive cuts"), (410, "only what already works")],
)
def test_the_reviewer_sees_clock_and_scope(minutes: int, scope: str) -> None:
    stack = stack_with(GOOD)
    stack.pass_time(minutes=minutes)
    (work,) = reviewer.find_work(stack.snapshot(), stack.now).work
    user = reviewer.ask(stack.snapshot().with_artifact(GOOD), work).user
    assert f'"scope": "{scope}"' in user


def test_without_the_source_nothing_is_called_reviewed() -> None:
    snapshot = stack_with(GOOD).snapshot()
    (work,) = reviewer.find_work(snapshot, snapshot.now).work
    with pytest.raises(ReplyRejected, match="source"):
        reviewer.interpret(ReviewerReply(**CONTENT), snapshot, work)


DULL = {"severity": "major", "description": "The start button does nothing"}


def test_an_opinion_stays_open_with_its_id_until_a_version_or_a_review_settles_it() -> None:
    stack = stack_with(GOOD)
    review(stack, issues=[DULL, {"severity": "minor", "description": "Dull"}])
    not_yet = {"id": "v1:opinion:1", "fixed": False, "note": "later"}
    stack.publish(GOOD + "<!-- 2 -->", answers=[not_yet, {"id": "v1:opinion:2", "fixed": True, "note": "brighter"}])
    outcome = review(stack)
    assert [one["id"] for one in stack.agents["reviewer"]["memory"]["open_issues"]] == ["v1:opinion:1"]
    assert outcome.result["verdict"] == "needs_work"
    assert not [change for change in outcome.changes if isinstance(change, Advise)], "the planner knows it already"

    stack.publish(GOOD + "<!-- 3 -->")
    review(stack, resolved=["v1:opinion:1"])
    assert stack.agents["reviewer"]["memory"]["open_issues"] == []


def test_a_fact_is_looked_up_anew_whatever_was_said_about_it() -> None:
    stack = stack_with(GOOD.replace(' lang="en"', ""))
    review(stack)
    stack.publish(GOOD, answers=[{"id": "v1:lang:1", "fixed": False, "note": "later"}])
    review(stack)
    assert stack.agents["reviewer"]["memory"]["open_issues"] == []


def test_what_a_version_says_that_is_no_answer_is_read_as_silence() -> None:
    stack = stack_with(GOOD)
    review(stack, issues=[DULL])
    stack.publish(GOOD + "<!-- 2 -->", answers="all done")
    review(stack)
    assert [one["id"] for one in stack.agents["reviewer"]["memory"]["open_issues"]] == ["v1:opinion:1"]


@pytest.mark.parametrize(
    ("minutes", "done", "still_open", "left", "work", "cut"),
    [
        (0, 0, 3, 480, None, False),
        (60, 3, 3, 420, 60, False),
        (240, 4, 2, 240, 120, False),
        (300, 5, 3, 180, 180, True),
        (600, 5, 1, 0, 120, True),
        (600, 5, 0, 0, 0, False),
    ],
)
def test_the_clock_says_what_time_and_work_are_left(
    minutes: int, done: int, still_open: int, left: int, work: int | None, cut: bool
) -> None:
    stack = stack_with(GOOD)
    for number in range(done):
        stack.add_todo(f"done {number}", status="completed", completed_at=stack.now)
    for number in range(still_open):
        stack.add_todo(f"open {number}")
    stack.now = START + timedelta(minutes=minutes)
    shown = clock(stack.snapshot())
    assert (shown["minutes_left"], shown["minutes_of_work_left"], shown["cut_scope"]) == (left, work, cut)
    assert shown["deadline"] == (START + timedelta(minutes=max(480, minutes))).isoformat(timespec="minutes")
