"""The cursor of `stackbeat logs -f`: whatever is read however often, each row is taken once and none is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.journal import OVERLAP, Cursor, as_line, entry_of_run, entry_of_trace

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


def row(number: int, at_s: float) -> dict[str, Any]:
    return {"id": number, "created_at": (START + timedelta(seconds=at_s)).isoformat()}


def read(table: list[dict[str, Any]], cursor: Cursor) -> list[dict[str, Any]]:
    since = cursor.since()
    return [one for one in table if since is None or one["created_at"] >= since]


def test_a_row_that_comes_late_is_taken() -> None:
    cursor = Cursor(time_column="created_at")
    assert cursor.take([row(2, 5)]) == [row(2, 5)]
    assert cursor.take([row(1, 0), row(2, 5)]) == [row(1, 0)]
    assert cursor.take([row(1, 0), row(2, 5)]) == []


def test_what_is_long_past_is_forgotten() -> None:
    cursor = Cursor(time_column="created_at")
    cursor.take([row(number, number) for number in range(10_000)])
    assert len(cursor._seen) <= OVERLAP.total_seconds() + 1


@given(
    st.lists(
        st.tuples(
            st.floats(0, 60), st.floats(0, 8), st.integers(0, 3)
        ),  # when it begins, how long it takes, reads after
        min_size=1,
        max_size=30,
    )
)
def test_each_row_is_taken_once_in_any_history(history: list[tuple[float, float, int]]) -> None:
    """Rows carry the time at which their transaction began and are seen when it ends, as in Postgres."""
    rows = [(began + took, row(number, began), reads) for number, (began, took, reads) in enumerate(history)]
    cursor, table, taken = Cursor(time_column="created_at"), list[dict[str, Any]](), list[int]()
    for _, one, reads in sorted(rows, key=lambda each: each[0]):
        table.append(one)
        for _ in range(reads):
            taken += [each["id"] for each in cursor.take(read(table, cursor))]
    taken += [each["id"] for each in cursor.take(read(table, cursor))]
    assert sorted(taken) == list(range(len(history)))


def test_a_line_is_one_line() -> None:
    trace = {
        "created_at": "2026-11-26T12:00:01.5+00:00",
        "stack_id": "s",
        "agent_type": "builder",
        "action": "build",
        "thought": "two\nlines",
        "simulated": True,
        "run_id": None,
    }
    assert as_line(entry_of_trace(trace, "Owls")) == "2026-11-26 12:00:01 Owls: builder build: two lines"
    run = {
        "id": "r",
        "completed_at": "2026-11-26T12:00:01+00:00",
        "stack_id": "s",
        "agent_type": "planner",
        "status": "failed",
        "reason": "to plan",
        "error": "no such model",
    }
    assert as_line(entry_of_run(run, "Owls")) == "2026-11-26 12:00:01 Owls: planner FAILED: no such model"
