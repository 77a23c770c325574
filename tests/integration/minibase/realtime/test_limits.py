"""Limits of `[realtime]` in config.toml, as clients meet them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.integration.minibase.realtime.conftest import PATIENCE


def socket_url(api: Any) -> str:
    return api.url.replace("http", "ws") + f"/realtime/v1/websocket?vsn=2.0.0&apikey={api.secrets.anon_key}"


async def test_one_user_too_many_is_refused_until_one_leaves(serve_api: Any) -> None:
    async with serve_api(max_concurrent_users=1) as api:
        async with connect(socket_url(api)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(socket_url(api))
            assert refused.value.response.status_code == 429
            assert b"Too many connected users" in (refused.value.response.body or b"")
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with connect(socket_url(api)):
                        return
                except InvalidStatus:
                    continue


async def test_too_many_joins_are_answered_and_then_the_socket_ends(serve_api: Any) -> None:
    async with serve_api(max_joins_per_second=1) as api, connect(socket_url(api)) as connection:
        for number in range(3):
            await connection.send(orjson.dumps(["1", "1", f"realtime:{number}", "phx_join", {}]).decode())
        frames = []
        with suppress(ConnectionClosedError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    frames.append(orjson.loads(await connection.recv()))
        assert [frame[4]["status"] for frame in frames] == ["ok", "error"]
        assert frames[1][4]["response"]["reason"].startswith("ClientJoinRateLimitReached")
        assert connection.close_code == 1013
