"""From an empty stack to a complete project and the silence after it, with the simulated model and a set clock."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from agents.builder import agent as builder
from agents.communicator import agent as communicator
from agents.page import check
from agents.planner import agent as planner
from agents.reviewer import agent as reviewer
from agents.simulated import simulate
from agents.simulated.library import ARCHETYPES, archetype, common
from agents.testing import FakeStack, play, run_once, simulated_model, stage

AGENTS = (planner, builder, communicator, reviewer)
IDEAS = (
    "Focus timer for late study sessions",
    "Travel phrase flashcards",
    "Kitchen unit converter",
    "Planet quiz",
    "Water tracker",
    "Bill splitter",
    "Sprint board",
    "Doodle canvas",
    "Garden journal",
    "Shopping list",
    "Meditation bell",
    "Bird quiz",
    "Habit tracker",
    "Loan calculator",
    "Wedding planning board",
    "Pixel art",
    "Dream diary",
    "Chores checklist",
    "Something nobody ever heard of",
    'Odd <b>title</b> & "quotes" {{title}} -- </script>',
)


@cache
def played(idea: str | None) -> tuple[FakeStack, int]:
    stack = FakeStack()
    if idea:
        stack.set_idea(idea, "A page for everybody.</script><script>alert(1)</script>")
    return stack, play(stack, AGENTS)


@pytest.mark.parametrize("idea", [None, *IDEAS])
def test_every_idea_comes_to_its_end_and_then_there_is_silence(idea: str | None) -> None:
    stack, runs = played(idea)
    assert stack.phase == "complete"
    assert 8 <= runs <= 16
    assert {todo["status"] for todo in stack.todos} == {"completed"}
    assert len(stack.sent) == 1
    for artifact in stack.artifacts:
        assert not [finding for finding in check(artifact["content"]) if finding.blocks]
        assert "simulated model" in artifact["content"]
    assert check(stack.artifacts[-1]["content"]) == ()
    for _ in range(60):
        stack.pass_time(minutes=10)
        for agent in AGENTS:
            agenda = agent.find_work(stack.snapshot(), stack.now)
            assert (agenda.work, agenda.next_at) == ((), None)


def test_different_ideas_make_different_pages() -> None:
    pages = {played(idea)[0].artifacts[-1]["content"] for idea in IDEAS}
    assert len(pages) == len(IDEAS)


def test_the_same_stack_makes_the_same_pages() -> None:
    first, second = (played.__wrapped__("Planet quiz")[0].artifacts for _ in range(2))
    assert [one["content"] for one in first] == [one["content"] for one in second]


def test_each_version_keeps_the_features_of_the_one_before() -> None:
    artifacts = played("Travel phrase flashcards")[0].artifacts
    features = [{one for one in artifact["content"].split('"') if one.startswith("feature-")} for artifact in artifacts]
    assert all(before < after for before, after in pairwise(features))


def test_some_first_builds_have_a_defect_that_review_finds_and_a_todo_repairs() -> None:
    repaired = 0
    for idea in IDEAS:
        stack, _ = played(idea)
        defects = [finding.code for finding in check(stack.artifacts[0]["content"])]
        repairs = [todo for todo in stack.todos if todo["content"].startswith("Repair")]
        assert bool(defects) == bool(repairs)
        repaired += bool(defects)
    assert 1 <= repaired <= len(IDEAS) // 2


def test_a_visitor_is_answered_by_name_with_facts_and_the_wish_becomes_a_feature() -> None:
    stack = FakeStack(phase="building")
    stack.set_idea("Planet quiz")
    run_once(stack, planner, planner.find_work(stack.snapshot(), stack.now).work[0])
    stack.say("Is it finished? Please add a dark theme", "Ada")
    play(stack, AGENTS)
    (answer,) = stack.answers
    assert "Ada" in answer.content
    assert "not promised" in answer.content
    assert stack.phase == "complete"
    assert 'id="feature-theme"' in stack.artifacts[-1]["content"]


def test_what_is_open_is_never_called_finished() -> None:
    context: dict[str, Any] = {
        "task": "visitor",
        "question": {"sender": "Ada", "text": "What is done already?"},
        "done": [],
        "open": ["Count the rounds"],
    }
    answer = simulate("communicator", context, "s")["answer"]
    assert "Nothing is finished yet" in answer
    assert "Still open, so not there yet: Count the rounds" in answer


def test_a_todo_of_a_person_that_fits_no_feature_is_shown_as_a_request() -> None:
    stack = FakeStack(phase="building")
    stack.set_idea("Planet quiz")
    stack.add_todo("Zzyzx <script>alert(1)</script>", priority=1, assigned_by="operator")
    stack.add_todo(archetype("quiz").features[0].todo, priority=9)
    play(stack, AGENTS)
    page = stack.artifacts[1]["content"]
    assert "Zzyzx &lt;script&gt;" in page
    assert "<script>alert" not in page


def test_roles_that_exclude_each_other_never_share_a_stage() -> None:
    stack = FakeStack(phase="building")
    stack.set_idea("Planet quiz")
    while stack.phase != "complete":
        names = {agent.name for agent, _ in stage(stack, AGENTS)}
        assert not {"planner", "builder"} <= names
        assert not {"builder", "reviewer"} <= names
        for agent, work in stage(stack, AGENTS):
            run_once(stack, agent, work, simulated_model)
        stack.pass_time(seconds=10)


def test_a_builder_that_always_fails_ends_in_visible_failures_and_silence() -> None:
    def broken(role: str, ask: Any) -> dict[str, Any]:
        reply = simulated_model(role, ask)
        return reply | {"html": "not a page"} if role == "builder" else reply

    stack = FakeStack()
    runs = 0
    for _ in range(2000):
        chosen = stage(stack, AGENTS)
        for agent, work in chosen:
            run_once(stack, agent, work, broken)
            runs += 1
        waits = [agent.find_work(stack.snapshot(), stack.now).next_at for agent in AGENTS]
        ahead = [at for at in waits if at is not None]
        if not chosen and not ahead:
            break
        stack.now = stack.now + timedelta(seconds=1) if chosen else min(ahead)
    else:
        raise AssertionError("the stack never comes to rest")
    builds = [todo for todo in stack.todos if todo["assigned_to"] == "builder"]
    assert {todo["status"] for todo in builds} == {"failed"}
    assert stack.artifacts == []
    assert runs < 40


@pytest.mark.parametrize("name", ARCHETYPES)
def test_archetypes_are_complete(name: str) -> None:
    features = archetype(name).features
    assert features[0].id == "core"
    assert len(features) >= 4
    ids = [one.id for one in (*features, *common())]
    assert len(ids) == len(set(ids))
    assert all(one.html and one.js and one.todo and one.words for one in features)


@pytest.mark.parametrize("absent", [{"reviewer"}, {"communicator"}, {"reviewer", "communicator"}])
def test_a_smaller_team_comes_to_its_end_too(absent: set[str]) -> None:
    stack = FakeStack(absent=frozenset(absent))
    stack.set_idea("Planet quiz")
    play(stack, AGENTS)
    assert stack.phase == "complete"
    assert not absent & {agent for agent, _ in stack.traces}
