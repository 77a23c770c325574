"""What the builder takes, and what it refuses to publish."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.builder import agent as builder
from agents.changes import FinishTodo, PublishArtifact
from agents.outcome import Outcome, ReplyRejected
from agents.testing import FakeStack, run_once, scripted_model

PAGE = '<!doctype html><html lang="en"><head><title>t</title></head><body><h1>t</h1></body></html>'


def stack_with_idea() -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Focus timer")
    return stack


def build(stack: FakeStack, html: str, summary: str = "s") -> Outcome | ReplyRejected:
    (work,) = builder.find_work(stack.snapshot(), stack.now).work
    return run_once(stack, builder, work, scripted_model({"thinking": "t", "summary": summary, "html": html}))


def test_highest_priority_first_then_the_oldest() -> None:
    stack = stack_with_idea()
    stack.add_todo("low", priority=2)
    first = stack.add_todo("high", priority=8)
    stack.add_todo("high but younger", priority=8)
    stack.add_todo("not the builder's", priority=10, assigned_to="communicator")
    (work,) = builder.find_work(stack.snapshot(), stack.now).work
    assert work.key == f"todo:{first}"
    assert work.item is not None
    assert work.item.ids == (first,)
    assert work.priority == 8


def test_a_todo_that_waits_is_left_alone_until_its_time() -> None:
    stack = stack_with_idea()
    at = stack.now + timedelta(minutes=3)
    stack.add_todo("later", available_at=at)
    agenda = builder.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), at)
    (work,) = builder.find_work(stack.snapshot(), at).work
    assert work.at == at


@pytest.mark.parametrize("status", ["in_progress", "failed", "completed", "cancelled"])
def test_only_pending_todos_are_work(status: str) -> None:
    stack = stack_with_idea()
    stack.add_todo("x", status=status, completed_at=stack.now)
    assert builder.find_work(stack.snapshot(), stack.now).work == ()


def test_no_idea_or_a_complete_project_is_no_work() -> None:
    stack = FakeStack(phase="building")
    stack.add_todo("x")
    assert builder.find_work(stack.snapshot(), stack.now).work == ()
    stack.set_idea("Timer")
    stack.phase = "complete"
    assert builder.find_work(stack.snapshot(), stack.now).work == ()


def test_a_good_page_is_published_and_its_todo_finished() -> None:
    stack = stack_with_idea()
    todo = stack.add_todo("Build it")
    outcome = build(stack, f"```html\n{PAGE}\n```")
    assert isinstance(outcome, Outcome)
    published, finished = outcome.changes
    assert isinstance(published, PublishArtifact)
    assert published.content == PAGE
    assert published.todo_id == todo
    assert finished == FinishTodo(id=todo)
    assert outcome.result["version"] == 1


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("I built a page.", "not an HTML page"),
        (PAGE.replace("<h1>", '<img src="https://x.example/a.png"><h1>'), "leaves the page"),
        (PAGE.replace("<h1>", "<script>fetch('/x')</script><h1>"), "network"),
        (PAGE.replace("<h1>", "<script>if (a { )</script><h1>"), "closes nothing"),
        (PAGE + "x" * 200_001, "bytes"),
        (PAGE + "\x00", "NUL"),
    ],
)
def test_a_broken_page_is_never_published(html: str, reason: str) -> None:
    stack = stack_with_idea()
    stack.add_todo("Build it")
    rejected = build(stack, html)
    assert isinstance(rejected, ReplyRejected)
    assert reason in rejected.reason
    assert stack.artifacts == []
    assert stack.todos[0]["status"] == "pending"


def test_the_same_page_again_finishes_nothing() -> None:
    stack = stack_with_idea()
    stack.publish(PAGE)
    stack.add_todo("Change it")
    rejected = build(stack, PAGE)
    assert isinstance(rejected, ReplyRejected)
    assert "same as version 1" in rejected.reason


def test_the_builder_sees_open_issues_the_newest_source_and_its_last_error() -> None:
    stack = stack_with_idea()
    stack.publish("x" * 60_000)
    stack.add_todo("Build it", last_error="the page was empty")
    issue = {"id": "v1:lang:1", "severity": "major", "text": "no lang"}
    stack.agents["reviewer"] = {"memory": {"open_issues": [issue]}, "inbox": {}, "context": {}, "last_run_at": None}
    snapshot = stack.snapshot().with_artifact(stack.artifacts[0]["content"])
    (work,) = builder.find_work(snapshot, stack.now).work
    user = builder.ask(snapshot, work).user
    assert "v1:lang:1" in user
    assert "the page was empty" in user
    assert "[cut: 10000 of 60000 characters are not shown]" in user


todos = st.lists(
    st.fixed_dictionaries(
        {
            "priority": st.integers(1, 10),
            "status": st.sampled_from(["pending", "in_progress", "failed"]),
            "assigned_to": st.sampled_from(["builder", "communicator"]),
            "minutes": st.none() | st.integers(-10, 10),
        }
    ),
    max_size=12,
)


@given(todos)
def test_at_most_one_todo_and_never_one_that_waits(rows: list[dict[str, Any]]) -> None:
    stack = stack_with_idea()
    for row in rows:
        minutes = row.pop("minutes")
        stack.add_todo("x", **row, available_at=None if minutes is None else stack.now + timedelta(minutes=minutes))
    agenda = builder.find_work(stack.snapshot(), stack.now)
    assert len(agenda.work) <= 1
    for work in agenda.work:
        assert work.item is not None
        (todo_id,) = work.item.ids
        todo = next(one for one in stack.snapshot().todos if one.id == todo_id)
        assert todo.status == "pending"
        assert todo.available_at is None or todo.available_at <= stack.now
    assert agenda.next_at is None or agenda.next_at > stack.now
