"""Limits of `[realtime]` in config.toml, as clients meet them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.integration.minibase.realtime.conftest import PATIENCE, Wire


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


async def test_too_many_presence_calls_end_the_channel_of_the_official_client(serve_api: Any) -> None:
    async with serve_api(max_client_presence_events_per_window=2) as api:
        client = await api.client()
        states: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        channel = client.channel("room", {"config": {"presence": {"key": "ada", "enabled": True}}})
        await channel.subscribe(lambda state, error: states.put_nowait((state.value, str(error))))
        for number in range(3):
            await channel.track({"n": number})
        told = [await asyncio.wait_for(states.get(), PATIENCE) for _ in range(2)]
        assert [state for state, _ in told] == ["SUBSCRIBED", "CHANNEL_ERROR"]
        assert "Client presence rate limit exceeded" in told[1][1]
        await client.realtime.close()


async def open_without_reading(url: str) -> socket.socket:
    """A websocket whose frames are written by hand, so that nothing is read and little is kept for it."""
    loop, opened = asyncio.get_running_loop(), socket.socket()
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    host, _, rest = url.removeprefix("ws://").partition("/")
    await loop.sock_connect(opened, (host.split(":")[0], int(host.split(":")[1])))
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    await loop.sock_sendall(opened, f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\n{upgrade}{key}\r\n".encode())
    assert b"101" in await loop.sock_recv(opened, 4_096)
    return opened


async def say(opened: socket.socket, *fields: Any) -> None:
    text = orjson.dumps(fields)
    header = b"\x81\xff" + len(text).to_bytes(8, "big") + bytes(4)  # a mask of zeros changes nothing
    await asyncio.get_running_loop().sock_sendall(opened, header + text)


async def test_a_socket_that_is_to_end_ends_also_where_nobody_reads(
    serve_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minibase.realtime.socket.CLOSE_SECONDS", 0.1)
    async with serve_api(max_joins_per_second=1, max_concurrent_users=1) as api:
        with await open_without_reading(socket_url(api)) as stopped:
            config = {"config": {"broadcast": {"self": True}}}
            await say(stopped, "1", "1", "realtime:room", "phx_join", config)
            for _ in range(20):  # more than the system's own buffers take, and less than a reader may owe
                payload = {"event": "e", "payload": {"x": "x" * 1_000_000}}
                await say(stopped, "1", "2", "realtime:room", "broadcast", payload)
            for number in range(2):
                await say(stopped, "1", "3", f"realtime:{number}", "phx_join", {})
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        async with connect(socket_url(api)):
                            return
                    except InvalidStatus:
                        await asyncio.sleep(0.05)


async def test_a_silent_socket_is_closed_and_one_that_beats_is_not(serve_api: Any) -> None:
    async with serve_api(max_seconds_silent=2) as api, connect(socket_url(api)) as beating:
        heart = Wire(connection=beating)
        async with connect(socket_url(api)) as silent:
            closed = asyncio.create_task(silent.wait_closed())
            async with asyncio.timeout(PATIENCE):
                while not closed.done():
                    await heart.push("heartbeat", {}, topic="phoenix")
                    assert (await heart.until("phx_reply"))["status"] == "ok"
                    await asyncio.wait([closed], timeout=0.2)
            assert (silent.close_code, silent.close_reason) == (1001, "nothing was heard for 2 seconds")
        await heart.push("heartbeat", {}, topic="phoenix")
        assert (await heart.until("phx_reply"))["status"] == "ok"


async def test_a_socket_without_a_channel_is_closed_in_the_end(serve_api: Any) -> None:
    async with serve_api(max_seconds_without_channel=1) as api, connect(socket_url(api)) as joined:
        wire = Wire(connection=joined)
        assert (await wire.join())["status"] == "ok"
        async with connect(socket_url(api)) as idle:
            await asyncio.wait_for(idle.wait_closed(), PATIENCE)
            assert idle.close_code == 1001
        await wire.push("heartbeat", {}, topic="phoenix")
        assert (await wire.until("phx_reply"))["status"] == "ok"
