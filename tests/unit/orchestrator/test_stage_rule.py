from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.work import NOTHING, Agenda, Work
from orchestrator.stage import IDLE, Due, End, Rules, TurnEnd, plan_stage, settle

NOW = datetime(2026, 11, 22, 10, 32, 0, tzinfo=UTC)
CADENCE = timedelta(seconds=10)
EXCLUDES = {
    "planner": frozenset({"builder"}),
    "builder": frozenset({"planner", "reviewer"}),
    "communicator": frozenset[str](),
    "reviewer": frozenset[str](),  # one side's word is enough
}


def work(agent: str, priority: int = 5, *, age: int = 0, urgent: bool = False, key: str = "k") -> Work:
    at = NOW - timedelta(seconds=age)
    return Work(agent=agent, priority=priority, reason="r", key=key, at=at, urgent=urgent)


def rules(**last_run: int | None) -> dict[str, Rules]:
    """Rules of all four agents; a keyword says how many seconds ago one ran."""
    ages = {name: last_run.get(name) for name in EXCLUDES}
    return {
        name: Rules(
            excludes=excludes, last_run_at=None if (age := ages[name]) is None else NOW - timedelta(seconds=age)
        )
        for name, excludes in EXCLUDES.items()
    }


def stage(*works: Work, ran: dict[str, int | None] | None = None) -> list[str]:
    agendas = {name: Agenda(work=tuple(w for w in works if w.agent == name)) for name in EXCLUDES}
    return [w.agent for w in plan_stage(agendas, rules(**(ran or {})), now=NOW, cadence=CADENCE).runs]


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        ([], []),
        ([work("planner", 10)], ["planner"]),
        ([work("planner", 9), work("builder", 8)], ["planner"]),
        ([work("planner", 4), work("builder", 8)], ["builder"]),
        ([work("builder", 8), work("reviewer", 6), work("communicator", 10)], ["communicator", "builder"]),
        ([work("planner", 8), work("reviewer", 6), work("communicator", 7)], ["planner", "communicator", "reviewer"]),
        ([work("planner", 8), work("builder", 8, age=5)], ["builder"]),
        ([work("planner", 9), work("builder", 8), work("reviewer", 6)], ["planner", "reviewer"]),
    ],
)
def test_who_runs_together(works: list[Work], expected: list[str]) -> None:
    assert stage(*works) == expected


def test_a_stage_is_no_larger_than_it_may_be_and_the_rest_is_looked_at_again() -> None:
    works = [work("planner", 8), work("reviewer", 6), work("communicator", 7)]
    agendas = {w.agent: Agenda(work=(w,)) for w in works}
    found = plan_stage(agendas, rules(), now=NOW, cadence=CADENCE, most=2)
    assert [w.agent for w in found.runs] == ["planner", "communicator"]
    assert found.next_at == NOW
    assert plan_stage(agendas, rules(), now=NOW, cadence=CADENCE, most=3).next_at is None


def test_routine_work_keeps_the_cadence_and_urgent_work_does_not() -> None:
    assert stage(work("planner"), ran={"planner": 9}) == []
    assert stage(work("planner"), ran={"planner": 10}) == ["planner"]
    assert stage(work("planner", urgent=True), ran={"planner": 0}) == ["planner"]


def test_an_agent_held_back_by_the_cadence_does_not_hold_back_others() -> None:
    assert stage(work("planner", 9), work("builder", 6), ran={"planner": 3}) == ["builder"]


def test_an_urgent_work_is_found_behind_a_spaced_one() -> None:
    works = (work("communicator", 9), work("communicator", 7, urgent=True, key="u"))
    assert stage(*works, ran={"communicator": 1}) == ["communicator"]


def test_the_next_look_is_the_earliest_wait() -> None:
    agendas = dict.fromkeys(EXCLUDES, NOTHING) | {
        "planner": Agenda(work=(work("planner"),), next_at=NOW + timedelta(minutes=5)),
        "reviewer": Agenda(next_at=NOW + timedelta(seconds=30)),
    }
    planned = plan_stage(agendas, rules(planner=4), now=NOW, cadence=CADENCE)
    assert planned.runs == ()
    assert planned.next_at == NOW + timedelta(seconds=6)


def test_after_a_failure_the_agent_rests_even_if_urgent() -> None:
    agendas = {"planner": Agenda(work=(work("planner", urgent=True),))}
    until = NOW + timedelta(seconds=5)
    resting = {"planner": Rules(excludes=frozenset(), last_run_at=None, not_before=until)}
    planned = plan_stage(agendas, resting, now=NOW, cadence=CADENCE)
    assert (planned.runs, planned.next_at) == ((), until)


works_of_anybody = st.lists(
    st.builds(
        work,
        st.sampled_from(sorted(EXCLUDES)),
        st.integers(0, 10),
        age=st.integers(0, 100),
        urgent=st.booleans(),
        key=st.text("ab", max_size=2),
    ),
    max_size=12,
)


@given(works_of_anybody, st.fixed_dictionaries({name: st.none() | st.integers(0, 30) for name in EXCLUDES}))
def test_no_stage_ever_breaks_the_rules(works: list[Work], ran: dict[str, Any]) -> None:
    chosen = stage(*works, ran=ran)
    assert len(chosen) == len(set(chosen)), "each agent at most once"
    for one, other in combinations(chosen, 2):
        assert other not in EXCLUDES[one]
        assert one not in EXCLUDES[other]
    ready = [w for w in works if w.urgent or ran[w.agent] is None or ran[w.agent] >= 10]
    assert bool(chosen) == bool(ready), "work that may run is never left without any run"
    if ready:
        assert max(w.priority for w in ready) == max(w.priority for w in ready if w.agent in chosen)


def end(kind: End, *, retry: int | None = None, reason: str = "") -> TurnEnd:
    wait = None if retry is None else timedelta(seconds=retry)
    return TurnEnd(agent="planner", end=kind, reason=reason, retry=wait)


def seconds(value: int) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize(
    ("ends", "next_in", "after", "words"),
    [
        ([], None, None, IDLE),
        ([], 10, 10, "next look at 10:32:10 UTC"),
        ([], 0, 1, "next look at 10:32:01 UTC"),
        ([end(End.PROGRESS)], 10, 0, None),
        ([end(End.PROGRESS), end(End.FAILED, retry=60)], None, 0, None),
        (
            [end(End.WAITING, retry=20, reason="groq 503 no luck")],
            None,
            20,
            "waiting for model: groq 503 no luck, retry in 20 s",
        ),
        ([end(End.FAILED, retry=300, reason="the reply was empty")], None, 300, "planner failed: the reply was empty"),
        ([end(End.FAILED, retry=60)], 5, 5, "planner failed"),
        ([end(End.CHANGED)], None, 1, None),
        ([end(End.HELD)], None, 0, None),
    ],
)
def test_when_the_stack_is_due_again(
    ends: list[TurnEnd], next_in: int | None, after: int | None, words: str | None
) -> None:
    due = settle(ends, next_at=None if next_in is None else NOW + seconds(next_in), now=NOW)
    assert due.after == (None if after is None else seconds(after))
    assert due.reason is None if words is None else words in (due.reason or "")


@given(
    st.lists(st.builds(end, st.sampled_from(End), retry=st.none() | st.integers(0, 400)), max_size=4),
    st.none() | st.integers(-100, 1000),
)
def test_only_progress_or_somebody_elses_hold_is_followed_at_once(ends: list[TurnEnd], next_in: int | None) -> None:
    due: Due = settle(ends, next_at=None if next_in is None else NOW + seconds(next_in), now=NOW)
    if due.after is not None and due.after < seconds(1):
        assert {e.end for e in ends} & {End.PROGRESS, End.HELD}


def test_work_that_may_run_beside_its_kind_fills_the_stage_and_no_more() -> None:
    lines = tuple(replace(work("communicator", 10, age=9 - n, urgent=True, key=f"v{n}"), beside=True) for n in range(5))
    mail = work("communicator", 7, key="mail")
    agendas = {"communicator": Agenda(work=(*lines, mail)), "planner": Agenda(work=(work("planner", 9),))}
    all_of_it = plan_stage(agendas, rules(), now=NOW, cadence=CADENCE)
    assert [w.key for w in all_of_it.runs] == ["v0", "v1", "v2", "v3", "v4", "k"]
    some = plan_stage(agendas, rules(), now=NOW, cadence=CADENCE, most=3)
    assert ([w.key for w in some.runs], some.next_at) == (["v0", "v1", "v2"], NOW)


def test_work_of_its_own_runs_alone_even_where_others_could_run_beside_each_other() -> None:
    first = work("communicator", 10, urgent=True, key="alone")
    beside = replace(work("communicator", 9, urgent=True, key="v"), beside=True)
    found = plan_stage({"communicator": Agenda(work=(first, beside))}, rules(), now=NOW, cadence=CADENCE)
    assert [w.key for w in found.runs] == ["alone"]
