"""One changed row: what filters may look at, what identifies it, and the JSON each kind of subscriber is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from minibase.realtime.bindings import Change
from minibase.realtime.pgoutput import UNCHANGED, Delete, Insert, Relation, Row, Unchanged, Update, Value
from minibase.realtime.tables import Access, Table
from minibase.realtime.values import Formatter, quote

MAX_PAYLOAD_BYTES = 1_048_576
FRAME_RESERVE = 2_048  # topic, ids and the rest of the frame: the Python client drops frames over 1 MiB
LARGE_VALUE = 64
_KINDS = {Insert: Change.INSERT, Update: Change.UPDATE, Delete: Change.DELETE}
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

NO_KEY = "Error 400: Bad Request, no primary key"
UNAUTHORIZED = "Error 401: Unauthorized"
TOO_LARGE = "Error 413: Payload Too Large"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """A table as it stood when its rows were logged, with the formatter of each logged column."""

    relation: Relation
    table: Table
    formatters: tuple[Formatter, ...]
    positions: dict[str, int] = field(init=False)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {c.name: i for i, c in enumerate(self.relation.columns)})
        object.__setattr__(self, "names", tuple(quote(c.name) for c in self.relation.columns))

    @property
    def key_is_logged(self) -> bool:
        return bool(self.table.key) and all(name in self.positions for name in self.table.key)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowChange:
    """One change. `new` is None for a DELETE; `old` is None where nothing of the old row was logged."""

    layout: Layout
    kind: Change
    new: Row | None
    old: Row | None
    old_is_whole: bool
    xid: int
    committed_at: str
    size: int
    """Its bytes in the log: what it costs to keep it waiting."""

    def tested(self, column: str) -> Value:
        """What a filter on this column looks at: the new row, for a DELETE the old. UNCHANGED if it is not logged."""
        position = self.layout.positions.get(column)
        if position is None:
            return UNCHANGED
        if self.new is not None:
            return self._new_value(position)
        if self.old is None or not (self.old_is_whole or self.layout.relation.columns[position].in_identity):
            return UNCHANGED
        return self.old[position]

    def key(self) -> tuple[str, ...] | None:
        """The primary key's values of the new row; None if they are not all logged."""
        values = tuple(self.tested(name) for name in self.layout.table.key)
        known = tuple(value for value in values if isinstance(value, str))
        return known if len(known) == len(values) else None

    def new_row(self) -> list[tuple[int, str | None]]:
        """Logged columns of the new row by position."""
        if self.new is None:
            return []
        values = ((position, self._new_value(position)) for position in range(len(self.new)))
        return [(position, value) for position, value in values if not isinstance(value, Unchanged)]

    def old_row(self) -> list[tuple[int, str | None]]:
        """What is known of the old row. An UPDATE that kept its identity logs none: it is that of the new row."""
        columns = self.layout.relation.columns
        if self.old is None:
            return [(position, value) for position, value in self.new_row() if columns[position].in_identity]
        return [
            (position, value)
            for position, value in enumerate(self.old)
            if not isinstance(value, Unchanged) and (self.old_is_whole or columns[position].in_identity)
        ]

    def _new_value(self, position: int) -> Value:
        assert self.new is not None
        value = self.new[position]
        # A key stored out of line is logged with the old row only, so that the change can be told from others.
        is_known = self.old_is_whole or self.layout.relation.columns[position].in_identity
        return self.old[position] if value is UNCHANGED and self.old is not None and is_known else value


def from_message(
    message: Insert | Update | Delete, layout: Layout, *, xid: int, committed_at: str, size: int = 0
) -> RowChange:
    old = None if isinstance(message, Insert) else message.old
    return RowChange(
        layout=layout,
        kind=_KINDS[type(message)],
        new=None if isinstance(message, Delete) else message.new,
        old=old,
        old_is_whole=not isinstance(message, Insert) and message.old_is_whole,
        xid=xid,
        committed_at=committed_at,
        size=size,
    )


def format_commit_time(microseconds: int) -> str:
    """Microseconds since 2000 as UTC with three decimals, never rounded up into the future."""
    moment = POSTGRES_EPOCH + timedelta(microseconds=microseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def render(change: RowChange, access: Access, select: frozenset[str] | None) -> str:
    """The `data` of the frame, as JSON, for a role with this access that asked for these columns."""
    layout = change.layout
    shown = _shown_positions(layout, access, select)
    old_shown = shown
    if change.kind is Change.DELETE and layout.table.row_security:
        # Nobody can be asked whether a deleted row was visible, so only its key is told.
        old_shown = shown & {layout.positions[name] for name in layout.table.key if name in layout.positions}
    new = _members(layout, change.new_row(), shown) if change.new is not None else None
    old = _members(layout, change.old_row(), old_shown) if change.kind is not Change.INSERT else None
    head = _head(change)
    columns = _columns(layout, shown)
    data = _object(head, "null", columns, new, old)
    if len(data) * 4 > MAX_PAYLOAD_BYTES and len(data.encode()) > MAX_PAYLOAD_BYTES - FRAME_RESERVE:
        small = [[member for member in members if _is_small(member)] if members else members for members in (new, old)]
        data = _object(head, f'["{TOO_LARGE}"]', columns, *small)
    return data


def render_error(change: RowChange, error: str) -> str:
    """The `data` of a change that cannot be shown to this role at all."""
    table = change.layout.table
    record = '"record":{},' if change.new is not None else ""
    old = ',"old_record":{}' if change.kind is not Change.INSERT else ""
    return (
        f'{{"schema":{quote(table.schema)},"table":{quote(table.name)},"type":"{change.kind}",'
        f'"commit_timestamp":null,"errors":["{error}"],{record}"columns":[]{old}}}'
    )


def _head(change: RowChange) -> str:
    table = change.layout.table
    return (
        f'{{"schema":{quote(table.schema)},"table":{quote(table.name)},"type":"{change.kind}",'
        f'"commit_timestamp":"{change.committed_at}"'
    )


def _shown_positions(layout: Layout, access: Access, select: frozenset[str] | None) -> set[int]:
    wanted = access.selectable if select is None else access.selectable & (select | set(layout.table.key))
    return {layout.positions[name] for name in wanted if name in layout.positions}


def _columns(layout: Layout, shown: set[int]) -> str:
    known = layout.table.columns
    described = (
        f'{{"name":{layout.names[position]},"type":{quote(known[column.name].type_name)}}}'
        for position, column in enumerate(layout.relation.columns)
        if position in shown and column.name in known
    )
    return "[" + ",".join(described) + "]"


def _members(layout: Layout, row: Sequence[tuple[int, str | None]], shown: set[int]) -> list[tuple[str, str]]:
    return [
        (layout.names[position], "null" if value is None else layout.formatters[position](value))
        for position, value in row
        if position in shown
    ]


def _is_small(member: tuple[str, str]) -> bool:
    return len(member[1].encode()) <= LARGE_VALUE


def _object(
    head: str, errors: str, columns: str, new: list[tuple[str, str]] | None, old: list[tuple[str, str]] | None
) -> str:
    parts = [head, f'"errors":{errors}', f'"columns":{columns}']
    parts += [
        f'"{name}":{_record(members)}'
        for name, members in (("record", new), ("old_record", old))
        if members is not None
    ]
    return ",".join(parts) + "}"


def _record(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{name}:{value}" for name, value in members) + "}"
