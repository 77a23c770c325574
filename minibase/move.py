"""Takes the data of a project to another Supabase: hosted, `supabase start`, or another minibase.

The target has the tables already, by the same migrations; this brings the rows, in one transaction, or none. What goes
along is what the project owns, and the people who sign in (`auth.users`, `auth.identities`) with their passwords. Their
sessions stay behind, for the target signs tokens with keys of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login

_HISTORY = "select version from supabase_migrations.schema_migrations order by version"
_TABLES = """
    select n.nspname, c.relname,
        array(
            select a.attname::text from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum
        )
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and (
        (c.relowner = 'postgres'::regrole and n.nspname not in ('supabase_migrations', 'auth', 'storage', 'realtime'))
        or (n.nspname = 'auth' and c.relname in ('users', 'identities'))
    )
    order by 1, 2
"""
_SEQUENCES = """
    select schemaname::text, sequencename::text, last_value from pg_sequences
    where sequenceowner = 'postgres' and last_value is not null and schemaname not in ('auth', 'storage', 'realtime')
"""

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Table:
    schema: str
    name: str
    columns: Sequence[str]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def with_columns(self) -> sql.Composable:
        if not self.columns:  # a table may have none
            return self.quoted
        return sql.SQL("{} ({})").format(self.quoted, sql.SQL(", ").join(map(sql.Identifier, self.columns)))


async def move(endpoint: Endpoint, target_url: str, say: Callable[[str], None]) -> int:
    """Copy all rows to the database at `target_url` (a DB_URL); returns how many.

    Raises MinibaseError: not reachable, other migrations than here, rows of its own, a right that is missing. Nothing
    of the target is changed then.
    """
    async with await psycopg.AsyncConnection.connect(endpoint.dsn(Login.ADMIN)) as source:
        await source.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await source.set_read_only(True)
        try:
            async with await psycopg.AsyncConnection.connect(_checked(target_url)) as target:
                await _compare_migrations(source, target)
                return await _copy_all(source, target, say)
        except psycopg.OperationalError as error:
            raise MinibaseError(f"The database at {_place(target_url)} cannot be reached: {error}") from error
        except psycopg.Error as error:
            raise MinibaseError(f"{_place(target_url)} refused the data, and is as before: {error}") from error


def _checked(url: str) -> str:
    """The URL, with TLS asked for wherever the way is longer than this machine."""
    example = "postgresql://postgres:PASSWORD@HOST:5432/postgres"
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise MinibaseError(f"--to is no database's address ({error}). Write it like {example}.") from error
    if not url.startswith(("postgres://", "postgresql://")) or not parts.get("host"):
        raise MinibaseError(f"--to is no database's address. Write it like {example}.")
    local = parts["host"] in ("127.0.0.1", "localhost", "::1")
    return url if "sslmode" in parts or local else psycopg.conninfo.make_conninfo(url, sslmode="require")


def _place(url: str) -> str:
    """Without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"


async def _compare_migrations(source: Connection, target: Connection) -> None:
    here = {str(row[0]) for row in await (await source.execute(_HISTORY)).fetchall()}
    try:
        there = {str(row[0]) for row in await (await target.execute(_HISTORY)).fetchall()}
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        there = set()
    if here - there:
        raise MinibaseError(
            f"The target has not had migration {', '.join(sorted(here - there))}. Apply them there first, with "
            "`supabase db push --db-url DB_URL` or, on a minibase, `minibase migrate`; then move again."
        )
    if there - here:
        raise MinibaseError(
            f"The target has had migration {', '.join(sorted(there - here))}, which this one has not. Apply them here "
            "first, with `minibase migrate`; then move again."
        )


async def _copy_all(source: Connection, target: Connection, say: Callable[[str], None]) -> int:
    tables = [Table(*row) for row in await (await source.execute(_TABLES)).fetchall()]  # type: ignore[arg-type]
    await target.execute("set local session_replication_role = replica")
    total = 0
    for table in tables:
        await _make_room(source, target, table)
        rows = await _copy(source, target, table)
        if rows:
            say(f"{table}: {rows}")
        total += rows
    for schema, name, value in await (await source.execute(_SEQUENCES)).fetchall():
        sequence = sql.Identifier(str(schema), str(name)).as_string(target)
        await target.execute("select setval(%s::regclass, %s)", (sequence, value))
    return total


async def _make_room(source: Connection, target: Connection, table: Table) -> None:
    """Rows that the migrations made are the same on both sides and are simply replaced; any other row is in the way."""
    rows = sql.SQL("select t::text from (select {} from {}) t").format(
        sql.SQL(", ").join(map(sql.Identifier, table.columns)), table.quoted
    )
    there = {row[0] for row in await (await target.execute(rows + sql.SQL(" limit 1000"))).fetchall()}
    if not there:
        return
    here = {row[0] for row in await (await source.execute(rows)).fetchall()}
    if not there <= here:
        raise MinibaseError(
            f"The target's {table} has rows of its own, and nothing is ever mixed. Move to a fresh project without its "
            "seed, or empty that table first. Nothing was changed."
        )
    await target.execute(sql.SQL("delete from {}").format(table.quoted))


async def _copy(source: Connection, target: Connection, table: Table) -> int:
    reading = sql.SQL("copy {} to stdout (format binary)").format(table.with_columns)
    writing = sql.SQL("copy {} from stdin (format binary)").format(table.with_columns)
    async with source.cursor() as reader, target.cursor() as writer:
        async with reader.copy(reading) as data, writer.copy(writing) as into:
            async for chunk in data:
                await into.write(chunk)
        return max(0, writer.rowcount)
