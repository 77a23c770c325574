"""A small change comes as edits, a version knows what it changed, and open issues are answered with the truth."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.builder import agent as builder
from agents.builder.patch import MAX_DIFF, compare
from agents.changes import PublishArtifact
from agents.outcome import Outcome, ReplyRejected
from agents.testing import FakeStack, run_once, scripted_model

PAGE = """<!doctype html>
<html><head><title>Tea</title></head>
<body><h1>Tea</h1>
<p>Steep</p>
</body></html>"""
LANG = {"id": "v1:lang:1", "severity": "major", "text": "the html element has no lang attribute"}
EDIT = {"find": "<html>", "replace": '<html lang="en">'}


def with_page(*issues: dict[str, Any]) -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Tea timer")
    stack.publish(PAGE)
    stack.add_todo("Say it is English")
    stack.agents["reviewer"] = {"memory": {"last_reviewed_version": 1, "open_issues": list(issues)}}
    return stack


def build(stack: FakeStack, **reply: Any) -> Outcome | ReplyRejected:
    (work,) = builder.find_work(stack.snapshot(), stack.now).work
    said = {"thinking": "t", "summary": "s", "html": None, "edits": [], "answers": []} | reply
    return run_once(stack, builder, work, scripted_model(said))


def published(outcome: Outcome | ReplyRejected) -> PublishArtifact:
    assert isinstance(outcome, Outcome), outcome
    return next(change for change in outcome.changes if isinstance(change, PublishArtifact))


def test_edits_make_the_next_version_of_the_newest() -> None:
    stack = with_page()
    change = published(build(stack, edits=[EDIT, {"find": "Steep", "replace": "Steep three minutes"}]))
    assert change.content == PAGE.replace("<html>", '<html lang="en">').replace("Steep", "Steep three minutes")
    assert change.base == 1
    assert "-<p>Steep</p>\n+<p>Steep three minutes</p>" in change.diff
    assert stack.todos[0]["status"] == "completed"


@pytest.mark.parametrize(
    ("edits", "says"),
    [
        ([{"find": "Coffee", "replace": "x"}], "0 times"),
        ([{"find": "Tea", "replace": "x"}], "2 times"),
        ([EDIT, {"find": "<html>", "replace": "x"}], "edit 2"),
        ([{"find": "<p>Steep</p>", "replace": "<script>if (</script>"}], "never closed"),
        ([{"find": "Steep", "replace": "Steep"}], "same as version 1"),
    ],
)
def test_edits_that_fit_nowhere_or_break_the_page_publish_nothing(edits: list[dict[str, str]], says: str) -> None:
    stack = with_page()
    rejected = build(stack, edits=edits)
    assert isinstance(rejected, ReplyRejected)
    assert says in rejected.reason
    assert len(stack.artifacts) == 1
    assert stack.todos[0]["attempts"] == 1


def test_edits_without_a_version_ask_for_the_whole_page() -> None:
    stack = with_page()
    stack.artifacts.clear()
    rejected = build(stack, edits=[EDIT])
    assert isinstance(rejected, ReplyRejected)
    assert "whole page" in rejected.reason


def test_open_issues_are_answered_and_the_answers_stay_with_the_version() -> None:
    stack = with_page(LANG, {"id": "v1:opinion:1", "severity": "minor", "text": "dull"})
    answers = [
        {"id": "v1:lang:1", "fixed": True, "note": "set"},
        {"id": "v1:opinion:1", "fixed": False, "note": "no time"},
        {"id": "v9:nobody:1", "fixed": True, "note": "not asked"},
    ]
    build(stack, edits=[EDIT], answers=answers)
    assert stack.artifacts[-1]["metadata"]["answers"] == answers[:2]


def test_an_issue_without_an_answer_and_one_that_is_still_there_are_refused() -> None:
    rejected = build(with_page(LANG), edits=[EDIT])
    assert isinstance(rejected, ReplyRejected)
    assert "no answer: v1:lang:1" in rejected.reason
    claim = [{"id": "v1:lang:1", "fixed": True, "note": "done"}]
    rejected = build(with_page(LANG), edits=[{"find": "Steep", "replace": "Brew"}], answers=claim)
    assert isinstance(rejected, ReplyRejected)
    assert "said to be fixed" in rejected.reason


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_diff_counts_and_never_raises(before: str, after: str) -> None:
    diff = compare(before, after)
    assert len(diff.text) <= MAX_DIFF + 10
    assert diff.added - diff.removed == len(after.splitlines()) - len(before.splitlines())
    assert (before.splitlines() == after.splitlines()) == (diff.added == diff.removed == 0)


def test_pages_too_long_to_compare_are_told_as_replaced() -> None:
    diff = compare("\n".join("a" * 3000), "\n".join("b" * 3000))
    assert (diff.text, diff.added, diff.removed) == ("replaced: 3000 lines by 3000", 3000, 3000)
