"""The way to the API that `bench control --no-signals` takes: requests pass, realtime does not."""

from __future__ import annotations

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from orchestrator.bench.cut import cut_realtime

from .conftest import World


async def test_requests_pass_and_realtime_is_hung_up_on(world: World) -> None:
    await world.stack("Owls")
    socket = f"/realtime/v1/websocket?apikey={world.key}&vsn=1.0.0"
    async with connect(world.url.replace("http", "ws") + socket):
        pass  # the same address is good without the cut
    async with cut_realtime(world.url) as address, httpx.AsyncClient(headers={"apikey": world.key}) as client:
        for _ in range(2):
            rows = await client.get(f"{address}/rest/v1/agent_stacks", params={"select": "participant_name"})
            assert rows.json() == [{"participant_name": "Owls"}]
        with pytest.raises((WebSocketException, OSError, EOFError)):
            await connect(address.replace("http", "ws") + socket, open_timeout=10)
