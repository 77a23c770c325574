"""What the reference is compared with: a database with our migrations, asked about itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal
from processes import ROOT

from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.server import Server

COLUMNS = """
select format('%s.%s', n.nspname, c.relname) as name, a.attname as column
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where n.nspname in ('public', 'internal') and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped
order by 1, a.attnum
"""
PUBLISHED = (
    "select format('%s.%s', schemaname, tablename) from pg_publication_tables where pubname = 'supabase_realtime'"
)
READERS = """
select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'internal') and c.relkind in ('r', 'p', 'v')
  and has_table_privilege('anon', c.oid, 'select')
"""
VERBS = """
select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
"""
BODIES = """
select p.prosrc from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'internal')
"""
CHECKS = """
select format('%s.%s', n.nspname, c.relname) as name, pg_get_constraintdef(k.oid) as text
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'c' and n.nspname = 'public'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the migrated database says of itself. Tables are named with their schema."""

    columns: dict[str, tuple[str, ...]]
    published: frozenset[str]
    visitors_read: frozenset[str]
    verbs: frozenset[str]
    bodies: tuple[str, ...]
    checks: tuple[tuple[str, str], ...]


@pytest.fixture(scope="session")
def catalogue(server: Server) -> Iterator[Catalogue]:
    with start_blocking_portal() as portal:
        clone = portal.call(_migrate, server.endpoint)
        yield portal.call(_read, clone)
        portal.call(drop_database, clone)


async def _migrate(endpoint: Endpoint) -> Endpoint:
    clone = await clone_database(endpoint, "stackbeat_documented")
    connection = await asyncpg.connect(clone.dsn(Login.OWNER))
    for file in sorted((ROOT / "supabase" / "migrations").glob("*.sql")):
        await connection.execute(file.read_text())
    await connection.close()
    return clone


async def _read(endpoint: Endpoint) -> Catalogue:
    connection = await asyncpg.connect(endpoint.dsn(Login.OWNER))
    try:
        columns: dict[str, tuple[str, ...]] = {}
        for row in await connection.fetch(COLUMNS):
            columns[row["name"]] = (*columns.get(row["name"], ()), row["column"])
        return Catalogue(
            columns=columns,
            published=frozenset(row[0] for row in await connection.fetch(PUBLISHED)),
            visitors_read=frozenset(row[0] for row in await connection.fetch(READERS)),
            verbs=frozenset(row[0] for row in await connection.fetch(VERBS)),
            bodies=tuple(row[0] for row in await connection.fetch(BODIES)),
            checks=tuple((row["name"], row["text"]) for row in await connection.fetch(CHECKS)),
        )
    finally:
        await connection.close()
