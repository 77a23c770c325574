"""Putting a new database in the place of the old one."""

from __future__ import annotations

import pytest

from minibase.errors import MinibaseError
from minibase.postgres.database import replace_database, settle_databases
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session


async def tables(endpoint: Endpoint) -> list[str]:
    async with open_session(endpoint, Login.ADMIN) as session:
        rows = await session.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    return [row["tablename"] for row in rows]


async def databases(endpoint: Endpoint) -> int:
    async with open_session(endpoint, Login.ADMIN) as session:
        count: int = await session.fetchval(
            "select count(*) from pg_database where starts_with(datname, $1)", endpoint.database
        )
    return count


async def create(endpoint: Endpoint, table: str) -> None:
    async with open_session(endpoint, Login.OWNER) as session:
        await session.execute(f"create table public.{table} ()")


async def test_the_new_contents_take_the_place_of_the_old(endpoint: Endpoint) -> None:
    await create(endpoint, "old")

    async def fill(fresh: Endpoint) -> None:
        await create(fresh, "new")
        assert await tables(endpoint) == ["old"]  # which serves until the last moment

    await replace_database(endpoint, fill)
    assert await tables(endpoint) == ["new"]
    assert await databases(endpoint) == 1


async def test_a_second_reset_is_refused_while_one_is_under_way(endpoint: Endpoint) -> None:
    async def fill(fresh: Endpoint) -> None:
        with pytest.raises(MinibaseError, match="Another reset"):
            await replace_database(endpoint, create_nothing)
        await create(fresh, "first")

    async def create_nothing(_: Endpoint) -> None:
        pytest.fail("it must not begin")

    await replace_database(endpoint, fill)
    assert await tables(endpoint) == ["first"]


async def test_the_old_contents_stay_where_filling_fails(endpoint: Endpoint) -> None:
    await create(endpoint, "old")

    async def fill(fresh: Endpoint) -> None:
        await create(fresh, "half")
        raise MinibaseError("no more")

    with pytest.raises(MinibaseError, match="no more"):
        await replace_database(endpoint, fill)
    assert await tables(endpoint) == ["old"]
    assert await databases(endpoint) == 1


async def test_a_reset_that_was_killed_is_cleared_away(endpoint: Endpoint) -> None:
    async with open_session(endpoint, Login.ADMIN, database="template1") as session:
        await session.execute(f'create database "{endpoint.database}_next"')
        await session.execute(f'alter database "{endpoint.database}" allow_connections false')
    await settle_databases(endpoint)
    assert await databases(endpoint) == 1
