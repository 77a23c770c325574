"""Policies and filters that do not answer are felt by those they decide for, and by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from tests.integration.minibase.realtime.conftest import PATIENCE, Dial, Wire, user_token

TODOS = {"event": "INSERT", "schema": "public", "table": "todos"}
BLOCKED = """
create policy blocked on todos for select to authenticated using (pg_advisory_xact_lock_shared(42) is not null)
"""


def user(number: int) -> str:
    return f"{number:08d}-1111-4111-8111-111111111111"


async def is_quiet(wire: Wire) -> None:
    await wire.push("heartbeat", {}, topic="phoenix", ref="7")
    assert (await wire.next())[2] == "phoenix"


@pytest.fixture
async def lock(owner: asyncpg.Connection, admin: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """While it is held, no policy for signed-in users answers."""
    await owner.execute(BLOCKED)
    await admin.execute("select pg_advisory_lock(42)")
    yield admin
    await admin.execute("select pg_advisory_unlock_all()")


async def test_many_policies_that_do_not_answer(
    api: Any, dial: Dial, owner: asyncpg.Connection, lock: asyncpg.Connection
) -> None:
    """There are more of them than sessions that could ask."""
    async with AsyncExitStack() as stack, dial() as visitor:
        blocked = [await stack.enter_async_context(dial()) for _ in range(12)]
        for number, wire in enumerate(blocked):
            await wire.join(TODOS, token=user_token(api, user(number)))
            assert (await wire.until("system"))["status"] == "ok"
        await visitor.join(TODOS)
        for number in range(1, 4):
            await owner.execute("insert into todos (id) values ($1)", number)
            assert (await visitor.change())["record"]["id"] == number
        for wire in blocked:
            await is_quiet(wire)
        await lock.execute("select pg_advisory_unlock(42)")
        for wire in blocked:
            assert [(await wire.change())["record"]["id"] for _ in range(3)] == [1, 2, 3]


async def test_what_waits_for_a_policy_is_bounded_in_bytes(
    api: Any,
    dial: Dial,
    owner: asyncpg.Connection,
    lock: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minibase.realtime.lanes.MAX_WAITING_BYTES", 100_000)
    async with dial() as blocked, dial() as visitor:
        await blocked.join(TODOS, token=user_token(api, user(1)))
        await visitor.join(TODOS)
        for number in range(1, 41):
            await owner.execute("insert into todos (id, title) values ($1, repeat('x', 10000))", number)
            assert (await visitor.change())["record"]["id"] == number
        await asyncio.wait_for(blocked.drained(), PATIENCE)
        assert blocked.connection.close_code == 1013


async def test_a_filter_that_does_not_answer(dial: Dial, owner: asyncpg.Connection) -> None:
    """Everybody without a token shares role and claims; one of them asks for a pattern that takes for ever."""
    endless = {**TODOS, "filter": r"title=match.^(.*)(.*)(.*)(.*)(.*)\1\2\3\4\5x$"}
    async with dial() as hostile, dial() as visitor:
        await hostile.join(endless)
        await visitor.join(TODOS)
        await owner.execute("insert into todos (id, title) values (1, repeat('a', 400) || 'bx')")
        assert (await visitor.change())["record"]["id"] == 1
        assert (await hostile.until("system"))["status"] == "ok"
        await is_quiet(hostile)
        notice = await hostile.until("system")
        assert notice["status"] == "error"
        assert "statement timeout" in notice["message"]
