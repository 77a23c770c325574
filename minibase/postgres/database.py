"""Whole databases on one server: clones for tests, a replacement for `reset`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
from anyio import CancelScope

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session

_NEXT, _LAST = "_next", "_last"
_LOCK = 5_432_002
_HALL = "template1"
"""The database to stand in while another one is made or dropped."""


async def clone_database(endpoint: Endpoint, name: str) -> Endpoint:
    """Copy the endpoint's database, in which nobody may be connected, to a new one called `name`."""
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        await session.execute(f'create database "{name}" template "{endpoint.database}" owner {Login.OWNER}')
    return replace(endpoint, database=name)


async def drop_database(endpoint: Endpoint) -> None:
    """Drop the endpoint's database, if it is there, and end every session and replication stream in it."""
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        await session.execute(
            "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = $1 and active",
            endpoint.database,
        )
        await session.execute(f'drop database if exists "{endpoint.database}" with (force)')


async def replace_database(endpoint: Endpoint, fill: Callable[[Endpoint], Awaitable[None]]) -> None:
    """Make a new database beside the endpoint's, `fill` it, and put it in the old one's place.

    Until the last moment the old one serves; where `fill` fails it stays, untouched. The change itself is one
    transaction of two renames: sessions are ended, and those that come back find the new contents.
    """
    fresh = replace(endpoint, database=f"{endpoint.database}{_NEXT}")
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        if not await session.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            raise MinibaseError("Another reset of this database is under way. Wait for it to end.")
        await drop_database(fresh)
        await session.execute(f'create database "{fresh.database}" owner {Login.OWNER}')
        try:
            await fill(fresh)
            await _swap(session, endpoint.database, fresh.database)
        finally:
            with CancelScope(shield=True):
                await settle_databases(endpoint)


async def settle_databases(endpoint: Endpoint) -> None:
    """Clear away what an interrupted `replace_database` left; does nothing otherwise."""
    for suffix in (_NEXT, _LAST):
        await drop_database(replace(endpoint, database=f"{endpoint.database}{suffix}"))
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        await session.execute(f'alter database "{endpoint.database}" allow_connections true')


async def _swap(session: asyncpg.Connection[asyncpg.Record], old: str, fresh: str) -> None:
    await _copy_settings(session, old, fresh)
    # Closed first: a client that reconnects at once would be in the way of the renames.
    await session.execute(f'alter database "{old}" allow_connections false')
    await session.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", old)
    async with session.transaction():
        await session.execute(f'alter database "{old}" rename to "{old}{_LAST}"')
        await session.execute(f'alter database "{fresh}" rename to "{old}"')


async def _copy_settings(session: asyncpg.Connection[asyncpg.Record], source: str, target: str) -> None:
    """`alter database postgres set ...` in a migration names the database, and so reached the old one.

    A list such as search_path is stored with its own quotes, and quoting it again would make one name of it.
    """
    commands = await session.fetch(
        """
        select format(
            'alter %s database %I set %I to %s',
            case when setrole <> 0 then format('role %I in', setrole::regrole::text) else '' end,
            $2::text, split_part(entry, '=', 1),
            case
                when split_part(entry, '=', 1) in ('search_path', 'session_preload_libraries', 'temp_tablespaces')
                then substr(entry, strpos(entry, '=') + 1)
                else quote_literal(substr(entry, strpos(entry, '=') + 1))
            end
        ) as command
        from pg_db_role_setting
        join pg_database on pg_database.oid = setdatabase, unnest(setconfig) as entry
        where datname = $1
        """,
        source,
        target,
    )
    for row in commands:
        await session.execute(row["command"])
