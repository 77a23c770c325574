"""When the stream of changes breaks, listeners are cut off, come back, and hear everything from then on."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.integration.minibase.realtime.conftest import PATIENCE, Dial

TODOS = {"event": "*", "schema": "public", "table": "todos"}
CUT_OFF = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'minibase realtime' and datname = current_database()
"""


async def test_sockets_are_closed_so_that_clients_come_back(
    api: Any, dial: Dial, owner: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    async with dial() as listening, dial() as chatting:
        await listening.join(TODOS)
        await chatting.join()
        await admin.execute(CUT_OFF)
        await asyncio.wait_for(listening.drained(), PATIENCE)
        assert listening.connection.close_code == 1012
        await chatting.push("heartbeat", {}, topic="phoenix")
        assert (await chatting.until("phx_reply"))["status"] == "ok"
    async with dial() as wire:
        assert (await wire.join(TODOS))["status"] == "ok"
        await owner.execute("insert into todos (id) values (7)")
        assert (await wire.change())["record"]["id"] == 7


# The client itself uses what its websocket library calls deprecated, just where it reconnects.
@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
async def test_the_official_client_rejoins_by_itself(
    api: Any, owner: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    client = await api.client()
    got: asyncio.Queue[Any] = asyncio.Queue()
    states: asyncio.Queue[str] = asyncio.Queue()
    channel = client.channel("room")
    channel.on_postgres_changes("*", schema="public", table="todos", callback=got.put_nowait)
    await channel.subscribe(lambda state, _: states.put_nowait(state.value))
    assert await asyncio.wait_for(states.get(), PATIENCE) == "SUBSCRIBED"
    await admin.execute(CUT_OFF)
    while await asyncio.wait_for(states.get(), PATIENCE) != "SUBSCRIBED":
        pass
    await owner.execute("insert into todos (id) values (8)")
    change = await asyncio.wait_for(got.get(), PATIENCE)
    assert change["data"]["record"]["id"] == 8
    await client.realtime.close()
