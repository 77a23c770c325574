"""What the reviewer reviews, and that its facts are facts."""

from __future__ import annotations

from typing import Any

import pytest

from agents.changes import Advise, Remember
from agents.outcome import Outcome, ReplyRejected
from agents.reviewer import agent as reviewer
from agents.reviewer.output import ReviewerReply
from agents.testing import FakeStack, run_once, scripted_model

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
