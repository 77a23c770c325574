"""Applies migrations and seed files with the Supabase CLI's own bookkeeping.

So that `supabase db push` afterwards finds nothing to do, and the other way round. All of it runs as `postgres`, which
is no superuser: what hosted Supabase would refuse fails here too. Each file has a session of its own, since files
like to change `search_path` and `role` for the rest of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.migrations import (
    Migration,
    Script,
    choose_pending,
    is_transaction_edge,
    parse_file_name,
    read_script,
)
from minibase.postgres.session import open_session
from minibase.postgres.splitter import Statement

_LOCK = 5_432_003

Say = Callable[[str], None]
"""Tells the person at the keyboard what happens, a line at a time."""

_HISTORY = """
    set lock_timeout = '4s';
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
    create table if not exists supabase_migrations.seed_files (path text not null primary key, hash text not null);
"""


class MigrationError(MinibaseError):
    """A statement of a file failed; the text names file, statement, line and PostgreSQL's reason."""

    def __init__(self, *, file: str, statement: int, line: int, reason: str, undone: bool) -> None:
        outcome = (
            "Nothing of this file was applied."
            if undone
            else "The file runs outside a transaction: its earlier statements stay done. Undo them before the next try."
        )
        super().__init__(f"{file}, statement {statement}, line {line}: {reason}. {outcome}")
        self.file = file
        self.statement = statement
        self.line = line


async def migrate(endpoint: Endpoint, folder: Path, say: Say, *, include_all: bool = False) -> int:
    """Apply what `folder` (supabase/migrations) has and the database has not; returns how many files that were.

    Raises MinibaseError where history and folder contradict each other, MigrationError where a statement fails; the
    files before the failing one stay applied.
    """
    names = _sql_files(folder)
    local = [migration for name in names if (migration := parse_file_name(name))]
    for name in names:
        if parse_file_name(name) is None:
            say(f"skipping {name}: a migration is called <digits>_<name>.sql")
    async with open_session(endpoint, Login.OWNER) as session:
        # Held to the end, though each file has a session of its own: nobody else sees the same files as pending.
        await session.execute("select pg_advisory_lock($1)", _LOCK)
        await session.execute(_HISTORY)
        history = await session.fetch("select version from supabase_migrations.schema_migrations order by version")
        pending = choose_pending(local, [row["version"] for row in history], include_all=include_all)
        await _apply(endpoint, folder, pending, say)
    return len(pending)


async def _apply(endpoint: Endpoint, folder: Path, pending: Sequence[Migration], say: Say) -> None:
    for migration in pending:
        say(f"applying migration {migration.file}")
        script = read_script(migration.file, _read(folder / migration.file))
        await _run(
            endpoint,
            script,
            "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, $2, $3)",
            (migration.version, [statement.sql for statement in script.statements], migration.name),
        )


async def seed(endpoint: Endpoint, workdir: Path, patterns: Sequence[str], say: Say) -> int:
    """Run each seed file once; returns how many ran. `patterns` are relative to `supabase/`, as in the CLI.

    A file that changed since it ran is not run again, for it would meet its own rows. Raises MigrationError.
    """
    async with open_session(endpoint, Login.OWNER) as session:
        await session.execute(_HISTORY)
        rows = await session.fetch("select path, hash from supabase_migrations.seed_files")
    known = {row["path"]: row["hash"] for row in rows}
    ran = 0
    for file in _seed_files(workdir, patterns):
        path = file.relative_to(workdir).as_posix()
        sql = _read(file)
        digest = hashlib.sha256(sql.encode()).hexdigest()
        if path not in known:
            say(f"seeding from {path}")
            await _run(
                endpoint,
                read_script(path, sql),
                "insert into supabase_migrations.seed_files (path, hash) values ($1, $2)",
                (path, digest),
            )
            ran += 1
        elif known[path] != digest:
            say(f"{path} has changed since it ran and is not run again; `minibase reset` begins anew with it")
    return ran


def _sql_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.sql")) if folder.is_dir() else []


def _seed_files(workdir: Path, patterns: Sequence[str]) -> list[Path]:
    """In the order of the patterns, each file once."""
    root = workdir / "supabase"
    found = (file for pattern in patterns for file in sorted(root.glob(pattern.removeprefix("./"))) if file.is_file())
    return list(dict.fromkeys(found))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MinibaseError(f"{file} is not UTF-8 text: byte {error.start} is wrong. Save it as UTF-8.") from error


async def _run(endpoint: Endpoint, script: Script, record: str, values: Sequence[object]) -> None:
    async with open_session(endpoint, Login.OWNER) as session:
        if not script.in_transaction:
            await _execute_all(session, script)
            await session.execute(record, *values)
            return
        async with session.transaction():
            await _execute_all(session, script)
            await session.execute("reset role")
            await session.execute(record, *values)


async def _execute_all(session: asyncpg.Connection[asyncpg.Record], script: Script) -> None:
    for number, statement in enumerate(script.statements, start=1):
        if script.in_transaction and is_transaction_edge(statement):
            continue
        try:
            await session.execute(statement.sql)
        except asyncpg.PostgresError as error:
            raise _describe(script, number, statement, error) from error


def _describe(script: Script, number: int, statement: Statement, error: asyncpg.PostgresError) -> MigrationError:
    position = getattr(error, "position", None)
    parts = [
        getattr(error, "message", None) or str(error),
        getattr(error, "detail", None),
        getattr(error, "hint", None),
    ]
    return MigrationError(
        file=script.file,
        statement=number,
        line=statement.line_at(int(position)) if position else _first_line(statement),
        reason=" - ".join(part.strip().rstrip(".") for part in parts if part),
        undone=script.in_transaction,
    )


def _first_line(statement: Statement) -> int:
    """The line of the statement's first word: comments above it are part of `sql`, but not what failed."""
    if not statement.words:
        return statement.line
    for offset, line in enumerate(statement.sql.lower().splitlines()):
        if line.lstrip().startswith(statement.words[0]):
            return statement.line + offset
    return statement.line
