"""What the reader makes of the log: rows are handed over when queries see them, and decoded where somebody listens."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from minibase.realtime.changes import Layout, RowChange
from minibase.realtime.pgoutput import Relation
from minibase.realtime.reader import _Stream
from minibase.realtime.stored import StoredMessage
from minibase.realtime.tables import Table
from minibase.realtime.values import formatter

TODOS, NOISE, MESSAGES = 16400, 16500, 16600


def begin(xid: int, lsn: int) -> bytes:
    return b"B" + struct.pack(">QqI", lsn, 0, xid)


def commit(lsn: int) -> bytes:
    return b"C" + struct.pack(">BQQq", 0, lsn, lsn + 8, 0)


def relation(oid: int, schema: str, name: str, *columns: str) -> bytes:
    head = b"R" + struct.pack(">I", oid) + f"{schema}\0{name}\0d".encode() + struct.pack(">H", len(columns))
    return head + b"".join(b"\x01" + column.encode() + b"\0" + struct.pack(">Ii", 25, -1) for column in columns)


def insert(oid: int, *values: str) -> bytes:
    parts = (b"t" + struct.pack(">I", len(value)) + value.encode() for value in values)
    return b"I" + struct.pack(">I", oid) + b"N" + struct.pack(">H", len(values)) + b"".join(parts)


@dataclass(kw_only=True)
class Log:
    """A walsender's connection that has these messages to say and no more."""

    messages: list[bytes]

    def get_copy_data(self, _: int) -> tuple[int, bytes]:
        if not self.messages:
            return 0, b""
        data = b"w" + bytes(24) + self.messages.pop(0)
        return len(data), data


@dataclass(kw_only=True)
class Session:
    """Answers each question for a snapshot with the next one; with the last one for ever."""

    snapshots: list[str]
    asked: int = 0

    async def fetch_value(self, _: str) -> str:
        self.asked += 1
        return self.snapshots[min(self.asked, len(self.snapshots)) - 1]


class Catalogue:
    def __init__(self) -> None:
        self._layouts: dict[Relation, Layout] = {}

    async def layout(self, relation: Relation) -> Layout:
        if relation not in self._layouts:
            table = Table(
                oid=relation.oid, schema=relation.schema, name=relation.name, key=(), row_security=False, columns={}
            )
            formatters = tuple(formatter(25, {}) for _ in relation.columns)
            self._layouts[relation] = Layout(relation=relation, table=table, formatters=formatters)
        return self._layouts[relation]

    def forget(self, oid: int) -> None:
        pass


@dataclass(kw_only=True)
class Hub:
    session: Session
    rows: list[tuple[int, str, tuple[Any, ...] | None]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    positions: list[tuple[int, int]] = field(default_factory=list)

    def hears(self, layout: Layout) -> bool:
        assert layout.table.name != "messages"
        return layout.table.name == "todos"

    def dispatch(self, batch: Sequence[RowChange], *, first_lsn: int, last_lsn: int) -> None:
        self.positions.append((first_lsn, last_lsn))
        self.rows += [(self.session.asked, change.layout.table.name, change.new) for change in batch]

    def tell(self, told: Sequence[StoredMessage]) -> None:
        self.told += [message.id for message in told]

    def forget_plans(self) -> None:
        pass


async def drained(messages: list[bytes], snapshots: list[str]) -> Hub:
    """The hub after all of the log was read."""
    hub = Hub(session=Session(snapshots=snapshots))
    log: Any = Log(
        messages=[relation(TODOS, "public", "todos", "id"), relation(NOISE, "public", "noise", "id"), *messages]
    )
    catalogue: Any = Catalogue()
    session: Any = hub.session
    stream = _Stream(log, catalogue, session, hub)  # type: ignore[arg-type]
    await stream._drain()
    return hub


@pytest.mark.parametrize(
    ("snapshots", "questions"),
    [
        (["9:12:"], 1),
        (["9:11:", "9:12:"], 2),  # the second transaction began after the first snapshot
        (["9:12:10", "9:12:10", "9:12:"], 3),  # committed first, visible last
    ],
)
async def test_rows_are_handed_over_when_queries_see_all_of_their_transactions(
    snapshots: list[str], questions: int
) -> None:
    messages = [begin(10, 100), insert(TODOS, "a"), commit(100), begin(11, 200), insert(TODOS, "b"), commit(200)]
    hub = await drained(messages, snapshots)
    assert hub.rows == [(questions, "todos", ("a",)), (questions, "todos", ("b",))]
    assert hub.positions == [(100, 200)]


async def test_a_row_nobody_listens_to_is_not_even_decoded() -> None:
    broken = insert(NOISE, "x")[:-3]
    hub = await drained([begin(10, 100), broken, insert(TODOS, "a"), commit(100)], ["9:11:"])
    assert [row for _, _, row in hub.rows] == [("a",)]


async def test_where_only_others_are_written_the_hub_still_learns_how_far_the_log_is() -> None:
    hub = await drained([begin(10, 100), insert(NOISE, "x"), commit(100)], ["9:11:"])
    assert (hub.rows, hub.positions) == ([], [(100, 100)])


async def test_a_row_of_realtimes_messages_is_a_broadcast_and_no_change() -> None:
    columns = ("id", "topic", "event", "extension", "payload", "private")
    row = insert(MESSAGES, "5", "room", "shout", "broadcast", '{"a": 1}', "f")
    stored = [relation(MESSAGES, "realtime", "messages", *columns), begin(10, 100), row, commit(100)]
    hub = await drained(stored, ["9:11:"])
    assert (hub.rows, hub.told) == ([], ["5"])
