"""A live query holds what the table holds, whatever is cut, late or held; and it counts what it had missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import live_query
from orchestrator.live_query import Fetched, Heard, LiveQuery, Source

TODOS = Source(table="todos", columns=("id", "text", "updated_at"))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def row(key: int, second: int, text: str = "") -> dict[str, Any]:
    return {"id": key, "text": text or f"of {second}", "updated_at": (BEGIN + timedelta(seconds=second)).isoformat()}


class Table:
    """A table with a clock, and the socket that tells of it until it is cut."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.second = 0
        self.wire: list[Heard] | None = None

    def write(self, key: int, *, delete: bool = False) -> None:
        self.second += 7
        if delete:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row(key, self.second)
        if self.wire is not None:
            self.wire.append(Heard(table="todos", key=key, row=None if delete else self.rows[key]))

    def fetch(self, since: datetime | None) -> dict[str, Fetched]:
        rows = [each for each in self.rows.values() if since is None or each["updated_at"] >= since.isoformat()]
        return {"todos": Fetched(rows=rows, alive=frozenset(self.rows))}


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "delete", "deliver", "cut", "join", "ask", "fetch", "answer"]),
        st.integers(0, 4),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_after_any_history_it_holds_what_the_table_holds(history: list[tuple[str, int]]) -> None:
    table, query = Table(), LiveQuery([TODOS])
    asked: Any = None
    fetched: Any = None
    for step, number in [*history, ("answer", 0), ("cut", 0), ("join", 0), ("ask", 0), ("fetch", 0), ("answer", 0)]:
        match step:
            case "write" | "delete":
                table.write(number, delete=step == "delete")
            case "deliver" if table.wire:
                for change in table.wire[: number + 1]:
                    query.hear(change)
                del table.wire[: number + 1]
            case "cut" if table.wire is not None:
                table.wire = None
                query.lost()
            case "join" if table.wire is None:
                table.wire = []
                query.joined()
            case "ask" if asked is None:
                asked, fetched = query.ask(), None
            case "fetch" if asked is not None:
                fetched = table.fetch(asked["todos"])
            case "answer" if asked is not None:
                query.answer(fetched or table.fetch(asked["todos"]))
                asked = None
    for change in table.wire or []:
        query.hear(change)
    assert not query.stale
    assert query.rows("todos") == table.rows


def test_what_was_missed_is_counted_and_nothing_else_is() -> None:
    table, query = Table(), LiveQuery([TODOS])
    table.write(1)
    table.write(2)
    query.joined()
    query.answer(table.fetch(query.ask()["todos"]))
    assert (query.recovered, query.stale) == (0, False)
    query.lost()
    table.write(1)
    table.write(2, delete=True)
    table.write(3)
    query.joined()
    assert query.stale
    query.answer(table.fetch(query.ask()["todos"]))
    assert (query.recovered, query.rejoins) == (3, 1)
    assert query.rows("todos") == table.rows


def test_only_what_may_have_changed_is_fetched_again() -> None:
    table, query = Table(), LiveQuery([TODOS])
    table.write(1)
    query.joined()
    assert query.ask() == {"todos": None}
    query.answer(table.fetch(None))
    assert query.ask() == {"todos": BEGIN + timedelta(seconds=7) - live_query.OVERLAP}


def test_an_old_change_does_not_undo_a_newer_row() -> None:
    query = LiveQuery([TODOS])
    query.joined()
    query.ask()
    query.hear(Heard(table="todos", key=1, row=row(1, 5)))
    query.answer({"todos": Fetched(rows=[row(1, 9)], alive=frozenset({1}))})
    assert query.rows("todos")[1]["text"] == "of 9"


def test_a_value_that_is_not_sent_is_kept() -> None:
    query = LiveQuery([TODOS])
    query.hear(Heard(table="todos", key=1, row=row(1, 5, "long")))
    query.hear(Heard(table="todos", key=1, row={"id": 1, "updated_at": row(1, 6)["updated_at"]}))
    assert query.rows("todos")[1]["text"] == "long"


def test_more_than_can_be_held_is_fetched_whole_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.live_query.MAX_HELD", 2)
    query = LiveQuery([TODOS])
    query.joined()
    query.ask()
    for number in range(3):
        query.hear(Heard(table="todos", key=number, row=row(number, 5)))
    query.answer({"todos": Fetched(rows=[], alive=frozenset())})
    assert query.stale


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"type": "DELETE", "old_record": {"id": 1}}, Heard(table="todos", key=1, row=None)),
        ({"type": "INSERT", "record": row(1, 5)}, Heard(table="todos", key=1, row=row(1, 5))),
        ({"type": "INSERT", "record": {}, "errors": ["Error 401: Unauthorized"]}, None),
        ({"type": "UPDATE", "record": {"id": 1}}, None),
        ({"type": "DELETE", "old_record": {}}, None),
    ],
)
def test_what_the_socket_says(data: dict[str, Any], found: Heard | None) -> None:
    assert LiveQuery([TODOS]).read({"data": {"table": "todos", **data}}) == found
