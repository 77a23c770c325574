"""Gives a database what a hosted Supabase project has from the start: roles, schemas, auth, realtime, grants.

The contents are the numbered files in `minibase/sql/bootstrap`. Each is applied once, in order, and recorded in
`_minibase.bootstrap`, so that a later minibase brings an older database up to date by adding files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session

_FOLDER = Path(__file__).parent.parent / "sql" / "bootstrap"
_LOCK = 5_432_001
"""Advisory lock: two processes never bootstrap the same database at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One numbered file."""

    version: int
    name: str
    sql: str


def read_steps() -> tuple[Step, ...]:
    """All steps this minibase knows, in order."""
    files = sorted(_FOLDER.glob("[0-9]*_*.sql"))
    return tuple(
        Step(version=int(file.name.partition("_")[0]), name=file.stem, sql=file.read_text(encoding="utf-8"))
        for file in files
    )


async def bootstrap(endpoint: Endpoint, *, auto_expose_new_tables: bool = True) -> int:
    """Bring the endpoint's database up to this minibase's version; returns how many steps that took.

    Raises MinibaseError where a newer minibase has been at work on it. Each step lands as a whole or not at all.
    """
    steps = read_steps()
    async with open_session(endpoint, Login.ADMIN) as session:
        await session.execute("select pg_advisory_lock($1)", _LOCK)
        applied = await _applied_version(session)
        if applied > steps[-1].version:
            raise MinibaseError(
                f"The database was prepared by a newer minibase (version {applied}, this one knows "
                f"{steps[-1].version}). Update stackbeat; or move the data away and start anew."
            )
        pending = [step for step in steps if step.version > applied]
        if pending:
            await _prepare_server(session, endpoint.passwords)
        for step in pending:
            async with session.transaction():
                await session.execute(step.sql)
                await session.execute(
                    "insert into _minibase.bootstrap (version, name) values ($1, $2)", step.version, step.name
                )
        await session.execute(_exposure_sql(auto_expose_new_tables))
        await session.execute("select realtime.keep_partitions()")
    return len(pending)


async def keep_partitions(endpoint: Endpoint) -> None:
    """Make tomorrow's partitions of `realtime.messages` and drop the outdated; call every few hours."""
    async with open_session(endpoint, Login.ADMIN) as session:
        await session.execute("select realtime.keep_partitions()")


async def _applied_version(session: asyncpg.Connection[asyncpg.Record]) -> int:
    if await session.fetchval("select to_regclass('_minibase.bootstrap')") is None:
        return 0
    version: int = await session.fetchval("select coalesce(max(version), 0) from _minibase.bootstrap")
    return version


async def _prepare_server(session: asyncpg.Connection[asyncpg.Record], passwords: Mapping[str, str]) -> None:
    """Roles, their passwords, and the bookkeeping table: repeatable, unlike the numbered steps."""
    async with session.transaction():
        await session.execute((_FOLDER / "roles.sql").read_text(encoding="utf-8"))
        for login in Login:
            await session.execute(f"alter role {login} password {_quoted(passwords[login])}")
        database = await session.fetchval("select quote_ident(current_database())")
        await session.execute(
            f"""
            alter database {database} owner to {Login.OWNER};
            create schema if not exists _minibase;
            create table if not exists _minibase.bootstrap (
                version integer primary key, name text not null, applied_at timestamptz not null default now()
            );
            """
        )


def _quoted(password: str) -> str:
    """ALTER ROLE takes no parameters; our passwords are letters and digits, and anything else is refused here."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", password):
        raise MinibaseError("A database password in secrets.json has characters other than letters, digits, _ and -.")
    return f"'{password}'"


def _exposure_sql(exposed: bool) -> str:
    """`[api].auto_expose_new_tables`: whether what migrations make in `public` is granted to the API roles unasked."""
    move, direction = ("grant", "to") if exposed else ("revoke", "from")
    return (
        "\n".join(
            f"alter default privileges for role {owner} in schema public {move} all on {kind} {direction} {grantees};"
            for owner, grantees in (
                (Login.OWNER, "anon, authenticated, service_role"),
                (Login.ADMIN, "anon, authenticated, service_role"),
            )
            for kind in ("tables", "sequences", "functions")
        )
        + "\n"
        + "\n".join(
            f"alter default privileges for role {Login.ADMIN} in schema public grant all on {kind} to {Login.OWNER};"
            for kind in ("tables", "sequences", "functions")
        )
    )
