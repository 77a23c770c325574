"""A live query: rows that follow the database, over a socket that may be cut at any time.

The order is everything. The channel is joined first, then a snapshot is fetched: nothing committed in between is
missed. Changes that arrive while it is fetched are held and merged after it, but for those older than the row they
meet. After a rejoin what changed since is fetched again, and rows that are gone are dropped; how many is counted.

No socket and no clock: whoever has them says what happened, and fetches when `stale` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]

# Longer than any statement may run, so that a late commit with an early time is fetched as well.
OVERLAP = timedelta(seconds=15)
MAX_HELD = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One table of the query: what identifies a row, and the column whose time grows with each change of it."""

    table: str
    columns: Sequence[str]
    key: str = "id"
    version: str = "updated_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One change from the socket; `row` is None for a deleted one."""

    table: str
    key: Any
    row: Row | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a table holds: all rows or those changed since the time asked for, and every key that exists."""

    rows: Iterable[Row]
    alive: frozenset[Any]


@dataclass(slots=True, kw_only=True)
class _Table:
    source: Source
    rows: dict[Any, Row] = field(default_factory=dict)

    def put(self, row: Row) -> bool:
        """Whether something is other than before. A row may lack columns: a large value that did not change does."""
        key = row[self.source.key]
        old = self.rows.get(key)
        wanted = {name: row[name] for name in self.source.columns if name in row}
        merged = wanted if old is None else {**old, **wanted}
        if old is not None and (merged == old or self.version(merged) < self.version(old)):
            return False
        self.rows[key] = merged
        return True

    def drop(self, key: Any) -> bool:
        return self.rows.pop(key, None) is not None

    def version(self, row: Row) -> datetime:
        return datetime.fromisoformat(row[self.source.version])

    def newest(self) -> datetime | None:
        return max((self.version(row) for row in self.rows.values()), default=None)


class LiveQuery:
    """The rows, and what is known to be missing from them."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._tables = {source.table: _Table(source=source) for source in sources}
        self._held: list[Heard] | None = None
        self._joins = 0
        self._whole = False
        self._missed = False
        self.stale = True
        self.rejoins = 0
        self.recovered = 0

    def rows(self, table: str) -> Mapping[Any, Row]:
        """The rows of a table by key."""
        return self._tables[table].rows

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self._tables)

    def read(self, payload: Mapping[str, Any]) -> Heard | None:
        """A realtime payload as a change; None where it says nothing usable, which the next fetch makes good."""
        data = payload["data"]
        table = self._tables.get(data["table"])
        deleted = str(getattr(data["type"], "value", data["type"])) == "DELETE"
        row = data.get("old_record" if deleted else "record")
        if table is None or not row or data.get("errors") or row.get(table.source.key) is None:
            return None
        if not deleted and row.get(table.source.version) is None:
            return None
        return Heard(table=table.source.table, key=row[table.source.key], row=None if deleted else dict(row))

    # -- what the socket says

    def joined(self) -> None:
        """The channel is joined, or joined again: what was committed meanwhile is not known yet."""
        self._joins += 1
        self.stale = True
        if self._joins > 1:
            self.rejoins += 1
            self._missed = True

    def stands(self) -> None:
        """The server says that the subscription stands, which on some is later than the join's answer."""
        self.stale = True

    def lost(self) -> None:
        """The channel is gone: from here on changes are missed."""
        self._missed = self._missed or self._joins > 0
        self.stale = True

    def hear(self, change: Heard) -> bool:
        """A change; whether the rows are other than before."""
        if self._held is None:
            return self._apply(change)
        self._held.append(change)
        if len(self._held) > MAX_HELD:
            # What does not fit is thrown away and fetched instead.
            self._held.clear()
            self.stale = True
        return False

    # -- what is fetched

    def ask(self) -> Mapping[str, datetime | None]:
        """Fetching begins: since when to fetch each table, None for all of it. Changes are held from here on."""
        self._held = []
        self.stale = False
        newest = {name: table.newest() for name, table in self._tables.items()}
        return {name: at - OVERLAP if at and self._whole else None for name, at in newest.items()}

    def answer(self, fetched: Mapping[str, Fetched]) -> None:
        """What was asked for has come: merged, counted if it had been missed, then what was held."""
        touched = 0
        for name, found in fetched.items():
            table = self._tables[name]
            touched += sum([table.put(row) for row in found.rows])
            touched += sum([table.drop(key) for key in list(table.rows) if key not in found.alive])
        if self._missed:
            self.recovered += touched
        self._missed, self._whole = False, True
        held, self._held = self._held or [], None
        for change in held:
            self._apply(change)

    def _apply(self, change: Heard) -> bool:
        table = self._tables[change.table]
        return table.drop(change.key) if change.row is None else table.put(change.row)
