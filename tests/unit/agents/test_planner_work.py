"""When the planner plans: one row per rule, and what a plan may change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.changes import AddTodo, CancelTodo, ClearInbox, Remember, SetIdea, SetPhase, UpdateTodo
from agents.outcome import ReplyRejected
from agents.planner import agent as planner
from agents.planner.output import PlannerReply
from agents.planner.wishes import is_strategic
from agents.testing import START, FakeStack, run_once, scripted_model

EMPTY: dict[str, Any] = {"thinking": "hm", "idea": None, "phase": None, "add": [], "update": [], "cancel": []}


def with_idea(phase: str = "building") -> FakeStack:
    stack = FakeStack(phase=phase)
    stack.set_idea("Focus timer", created_by="planner")
    return stack


def reviewed(stack: FakeStack, *, severity: str | None = None) -> FakeStack:
    stack.publish("<html></html>")
    issues = [{"id": "v1:x:1", "severity": severity, "text": "broken"}] if severity else []
    memory = {"last_reviewed_version": 1, "open_issues": issues}
    stack.agents["reviewer"] = {"memory": memory, "inbox": {}, "context": {}, "last_run_at": None}
    return stack


def remember(stack: FakeStack, **memory: Any) -> FakeStack:
    stack.agents["planner"] = {"memory": memory, "inbox": {}, "context": {}, "last_run_at": None}
    return stack


def nothing(stack: FakeStack) -> None:
    pass


def an_open_todo(stack: FakeStack) -> None:
    stack.add_todo("Build it")


def advice(stack: FakeStack) -> None:
    stack.add_todo("Build it")
    stack.agents["planner"] = {"memory": {}, "inbox": {"v1:a": {}}, "context": {}, "last_run_at": None}


def a_wish(stack: FakeStack) -> None:
    stack.add_todo("Build it")
    stack.say("Could you add a dark theme?")


def small_talk(stack: FakeStack) -> None:
    stack.add_todo("Build it")
    stack.say("What is your address? The additional instructions were featureless.")


def five_minutes(stack: FakeStack) -> None:
    stack.add_todo("Build it")
    stack.pass_time(minutes=5)


def an_unreviewed_version(stack: FakeStack) -> None:
    stack.publish("<html></html>")


def a_review_that_never_came(stack: FakeStack) -> None:
    stack.publish("<html></html>")
    stack.pass_time(minutes=5)


@pytest.mark.parametrize(
    ("scene", "priority", "key"),
    [
        (nothing, 9, "backlog"),
        (an_open_todo, None, None),
        (advice, 8, "inbox"),
        (a_wish, 7, "wish"),
        (small_talk, None, None),
        (five_minutes, 4, "timer"),
        (an_unreviewed_version, None, None),
        (a_review_that_never_came, 9, "backlog"),
    ],
)
def test_reasons_to_plan(scene: Callable[[FakeStack], None], priority: int | None, key: str | None) -> None:
    stack = with_idea()
    scene(stack)
    work = planner.find_work(stack.snapshot(), stack.now).work
    assert [one.priority for one in work] == ([priority] if priority else [])
    assert [one.key.split(":")[0] for one in work] == ([key] if key else [])


def test_a_stack_without_idea_needs_one_at_once() -> None:
    (work,) = planner.find_work(FakeStack().snapshot(), FakeStack().now).work
    assert (work.priority, work.key, work.urgent) == (10, "idea", True)


def test_the_timer_and_the_review_say_when_to_look_again() -> None:
    stack = with_idea()
    stack.add_todo("Build it")
    start = stack.snapshot().stack.created_at
    assert planner.find_work(stack.snapshot(), stack.now).next_at == start + timedelta(minutes=5)
    waiting = with_idea()
    waiting.publish("<html></html>")
    assert planner.find_work(waiting.snapshot(), waiting.now).next_at == waiting.artifacts[0]["created_at"] + timedelta(
        minutes=5
    )


@pytest.mark.parametrize(
    ("phase", "severity", "expected"),
    [
        ("demo", None, "finish"),
        ("demo", "major", "finish"),
        ("demo", "critical", "backlog"),
        ("building", None, "backlog"),
    ],
)
def test_the_terminal_rule(phase: str, severity: str | None, expected: str) -> None:
    stack = reviewed(with_idea(phase), severity=severity)
    (work,) = planner.find_work(stack.snapshot(), stack.now).work
    assert work.key.split(":")[0] == expected


def test_finishing_completes_whatever_the_model_wants() -> None:
    stack = reviewed(with_idea("demo"))
    (work,) = planner.find_work(stack.snapshot(), stack.now).work
    more = EMPTY | {"phase": "building", "add": [{"content": "More!", "priority": 9, "assigned_to": "builder"}]}
    run_once(stack, planner, work, scripted_model(more))
    assert stack.phase == "complete"
    assert stack.todos == []
    stack.say("Please add a feature")
    stack.pass_time(hours=10)
    agenda = planner.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), None)


def test_an_unheard_wish_keeps_the_project_from_ending() -> None:
    stack = reviewed(with_idea("demo"))
    stack.say("Please change the colours")
    (work,) = planner.find_work(stack.snapshot(), stack.now).work
    assert work.key.startswith("backlog")


def test_a_wish_is_planned_once_even_when_it_is_answered_in_between() -> None:
    stack = with_idea()
    stack.add_todo("Build it")
    line = stack.say("Could you add a dark theme?")
    (work,) = planner.find_work(stack.snapshot(), stack.now).work
    row = next(one for one in stack.visitors if one["id"] == line)
    row.update(status="answered", reply="We will look at it", answered_at=stack.now)
    (same,) = planner.find_work(stack.snapshot(), stack.now).work
    assert same.key == work.key
    run_once(stack, planner, same, scripted_model(EMPTY))
    assert planner.find_work(stack.snapshot(), stack.now).work == ()


def test_empty_plans_cool_down_and_end() -> None:
    stack = reviewed(with_idea("demo"), severity="critical")
    waits = []
    for _ in range(5):
        agenda = planner.find_work(stack.snapshot(), stack.now)
        run_once(stack, planner, agenda.work[0], scripted_model(EMPTY))
        after = planner.find_work(stack.snapshot(), stack.now)
        assert after.work == ()
        if after.next_at is None:
            break
        waits.append(after.next_at - stack.now)
        stack.now = after.next_at
    assert waits == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]
    stack.pass_time(hours=10)
    assert planner.find_work(stack.snapshot(), stack.now).work == ()
    stack.publish("<html>new</html>")
    stack.agents["reviewer"]["memory"]["last_reviewed_version"] = 2
    assert planner.find_work(stack.snapshot(), stack.now).work[0].key.startswith("backlog")


def interpret(stack: FakeStack, **reply: Any) -> list[Any]:
    (work,) = planner.find_work(stack.snapshot(), stack.now).work
    return list(planner.interpret(PlannerReply(**(EMPTY | reply)), stack.snapshot(), work).changes)


def test_a_first_plan_sets_idea_todos_and_phase() -> None:
    add = [{"content": "Build the core", "priority": 9, "assigned_to": "builder"}]
    changes = interpret(FakeStack(), idea={"title": "Timer", "description": "d"}, add=add)
    assert [type(change) for change in changes] == [SetIdea, AddTodo, SetPhase, Remember]
    assert changes[2].phase == "building"


def test_no_idea_is_a_rejected_reply() -> None:
    with pytest.raises(ReplyRejected, match="gave none"):
        interpret(FakeStack())


def test_only_own_and_idle_todos_are_touched_and_by_id() -> None:
    stack = with_idea()
    own, busy = stack.add_todo("mine"), stack.add_todo("busy", status="in_progress")
    persons = stack.add_todo("a person's", assigned_by="operator")
    stack.pass_time(minutes=6)
    ids = [str(own), str(busy), str(persons), str(UUID(int=999)), "not an id"]
    edits = [{"id": one, "content": "new", "priority": None} for one in ids]
    assert [change.id for change in interpret(stack, update=edits) if isinstance(change, UpdateTodo)] == [own]
    assert [change.id for change in interpret(stack, cancel=ids) if isinstance(change, CancelTodo)] == [own]


def test_a_todo_that_is_known_is_not_added_twice() -> None:
    stack = with_idea()
    stack.add_todo("Build the  core.")
    stack.pass_time(minutes=6)
    add = [{"content": text, "priority": 5, "assigned_to": "builder"} for text in ("build the core", "New", "new.")]
    assert [change.content for change in interpret(stack, add=add) if isinstance(change, AddTodo)] == ["New"]


def test_absurd_plans_are_bounded() -> None:
    stack = with_idea()
    for number in range(19):
        stack.add_todo(f"todo {number}")
    stack.pass_time(minutes=6)
    add = [{"content": f"more {number}", "priority": 5, "assigned_to": "builder"} for number in range(12)]
    assert sum(isinstance(change, AddTodo) for change in interpret(stack, add=add)) == 1


def test_demo_is_refused_while_something_is_open() -> None:
    stack = with_idea()
    stack.add_todo("Build it")
    stack.pass_time(minutes=6)
    assert not [change for change in interpret(stack, phase="demo") if isinstance(change, SetPhase)]


def test_a_settled_project_moves_to_demo_even_if_the_model_says_nothing() -> None:
    stack = reviewed(with_idea())
    assert [change.phase for change in interpret(stack) if isinstance(change, SetPhase)] == ["demo"]


def test_only_what_was_shown_leaves_the_inbox() -> None:
    stack = with_idea()
    stack.add_todo("Build it")
    stack.agents["planner"] = {
        "memory": {},
        "inbox": {f"v1:{number:02}": {} for number in range(25)},
        "context": {},
        "last_run_at": None,
    }
    (cleared,) = [change for change in interpret(stack) if isinstance(change, ClearInbox)]
    assert cleared.ids == tuple(f"v1:{number:02}" for number in range(20))


def test_people_may_have_written_anything_into_memory() -> None:
    stack = remember(
        with_idea(), last_planned_at="yesterday", empty_plans="many", quiet_until=7, seen_wishes="x", empty_at=None
    )
    assert planner.find_work(stack.snapshot(), stack.now).work[0].priority == 9


@given(st.text(max_size=300))
def test_wishes_never_crash_and_need_a_whole_word(text: str) -> None:
    assert isinstance(is_strategic(text), bool)
    assert not is_strategic("address additional featuring exchanged")


def test_looks_over_the_plan_that_change_nothing_grow_rare_and_stop() -> None:
    stack = with_idea()
    stack.add_todo("Announce it", assigned_to="communicator")
    gaps = []
    for _ in range(5):
        agenda = planner.find_work(stack.snapshot(), stack.now)
        assert agenda.next_at is not None
        gaps.append(round((agenda.next_at - stack.now) / timedelta(minutes=1)))
        stack.now = agenda.next_at
        (work,) = planner.find_work(stack.snapshot(), stack.now).work
        run_once(stack, planner, work, scripted_model(EMPTY))
    assert gaps == [5, 10, 20, 40, 80]
    agenda = planner.find_work(stack.snapshot(), stack.now)
    assert (agenda.work, agenda.next_at) == ((), None)
    stack.add_todo("Something new")
    assert planner.find_work(stack.snapshot(), stack.now).next_at is not None


def test_a_look_over_the_plan_comes_back_when_less_scope_is_left() -> None:
    stack = with_idea()
    stack.add_todo("Build it")
    stack.pass_time(minutes=6)
    found = planner.find_work(stack.snapshot(), stack.now)
    assert [work.key for work in found.work] == ["timer"]
    assert found.next_at == START + timedelta(hours=4)
    early = planner.ask(stack.snapshot(), found.work[0]).question
    stack.pass_time(hours=3)
    assert planner.ask(stack.snapshot(), found.work[0]).question == early, "the clock alone is no news"
    stack.pass_time(hours=1)
    assert planner.ask(stack.snapshot(), found.work[0]).question != early
    stack.pass_time(hours=9)
    assert planner.find_work(stack.snapshot(), stack.now).next_at is None


def test_each_try_at_an_empty_backlog_has_a_key_of_its_own() -> None:
    stack = reviewed(with_idea(), severity="critical")
    keys = []
    for _ in range(2):
        (work,) = planner.find_work(stack.snapshot(), stack.now).work
        keys.append(work.key)
        run_once(stack, planner, work, scripted_model(EMPTY))
        stack.pass_time(minutes=30)
    assert keys[0] != keys[1]
