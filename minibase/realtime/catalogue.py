"""What the database's own catalogue says, kept until it may have changed.

A table's facts are dropped when the log announces its relation anew, which Postgres does after any change to the
table, its policies, its grants or its publication; everything is dropped on `NOTIFY pgrst`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from minibase.realtime import values
from minibase.realtime.changes import Layout
from minibase.realtime.pgoutput import Relation
from minibase.realtime.sessions import Session
from minibase.realtime.snapshots import Snapshot
from minibase.realtime.tables import NO_ACCESS, Access, Rows, Table, TableColumn, bounded_time_limit
from minibase.realtime.values import TypeFacts

_QUERIES = Path(__file__).parent.parent / "sql" / "queries"


def _query(name: str) -> str:
    return (_QUERIES / f"{name}.sql").read_text(encoding="utf-8")


class Catalogue:
    """Reads through one administrative session. Every method raises DatabaseUnavailableError if that is gone."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables_sql = _query("realtime_tables")
        self._access_sql = _query("realtime_access")
        self._types_sql = _query("realtime_types")
        self._layouts: dict[int, Layout] = {}
        self._access: dict[tuple[str, int], Access] = {}
        # What was read before the last "forget" and arrives after it may be out of date: it is used, but not kept.
        self._generation = 0

    async def published(self) -> list[Table]:
        """The tables of the publication, as they are now."""
        return await self._tables(None)

    async def table(self, oid: int) -> Table | None:
        """A table, published or not, as it is now."""
        return next(iter(await self._tables([oid])), None)

    async def snapshot(self) -> Snapshot:
        # The position is read after the snapshot is taken, so every commit that it sees lies before it.
        (row,) = await self._session.fetch(
            "select pg_current_snapshot()::text as text, (pg_current_wal_insert_lsn() - '0/0')::int8 as lsn"
        )
        return Snapshot.parse(row["text"], row["lsn"])

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows of a question of somebody else's, asked with every right."""
        return list(await self._session.fetch(sql, *arguments))

    async def messages_access(self, role: str) -> Access | None:
        """A role's rights on `realtime.messages`; None for a role the API may not become."""
        oid = await self._session.fetch_value("select coalesce(to_regclass('realtime.messages')::oid::int8, 0)")
        return (await self.load_access(role, [oid])).get(oid)

    async def load_access(self, role: str, oids: Iterable[int]) -> dict[int, Access]:
        """A role's rights as they are now; tables it does not concern are missing."""
        generation = self._generation
        rows = await self._session.fetch(self._access_sql, role, list(oids))
        found = {
            row["oid"]: Access(
                selectable=frozenset(row["selectable"]),
                rows=Rows(row["rows"]),
                time_limit=bounded_time_limit(row["time_limit"]),
            )
            for row in rows
        }
        if generation == self._generation:
            self._access.update({(role, oid): access for oid, access in found.items()})
        return found

    async def access(self, role: str, oid: int) -> Access:
        """A role's rights as last read; none for a role or table that does not exist."""
        known = self._access.get((role, oid))
        if known is None:
            known = (await self.load_access(role, [oid])).get(oid, NO_ACCESS)
        return known

    async def layout(self, relation: Relation) -> Layout:
        """The relation with its table's facts. A table dropped meanwhile has no columns anybody may see."""
        known = self._layouts.get(relation.oid)
        if known is not None and known.relation is relation:
            return known
        generation = self._generation
        tables = await self._tables([relation.oid])
        types = await self._types({column.type_oid for column in relation.columns})
        layout = Layout(
            relation=relation,
            table=tables[0] if tables else _dropped(relation),
            formatters=tuple(values.formatter(column.type_oid, types) for column in relation.columns),
        )
        if generation == self._generation:
            self._layouts[relation.oid] = layout
        return layout

    def forget(self, oid: int) -> None:
        self._generation += 1
        self._layouts.pop(oid, None)
        for key in [key for key in self._access if key[1] == oid]:
            del self._access[key]

    def forget_all(self) -> None:
        self._generation += 1
        self._layouts.clear()
        self._access.clear()

    async def _tables(self, oids: list[int] | None) -> list[Table]:
        return [
            Table(
                oid=row["oid"],
                schema=row["schema"],
                name=row["name"],
                key=tuple(row["key"]),
                row_security=row["row_security"],
                columns={column["name"]: TableColumn(**column) for column in orjson.loads(row["columns"])},
            )
            for row in await self._session.fetch(self._tables_sql, oids)
        ]

    async def _types(self, oids: set[int]) -> dict[int, TypeFacts]:
        rows = await self._session.fetch(self._types_sql, list(oids))
        return {
            row["oid"]: TypeFacts(
                oid=row["oid"],
                name=row["name"],
                element=row["element"],
                base=row["base"],
                delimiter=row["delimiter"],
                is_composite=row["is_composite"],
                fields=tuple(zip(row["field_names"], row["field_types"], strict=True)),
            )
            for row in rows
        }


def _dropped(relation: Relation) -> Table:
    return Table(oid=relation.oid, schema=relation.schema, name=relation.name, key=(), row_security=True, columns={})
