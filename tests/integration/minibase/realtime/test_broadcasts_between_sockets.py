"""Broadcasts across versions: who hears them, in which framing, and what the sender is told."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from tests.integration.minibase.realtime.conftest import PATIENCE, Dial, Wire

TOPIC = "realtime:room"
MESSAGE = {"type": "broadcast", "event": "cursor", "payload": {"x": 1}}


def kind3(event: str, body: bytes, encoding: int) -> bytes:
    parts = [b"1", b"5", TOPIC.encode(), event.encode(), b""]
    return bytes([3, *map(len, parts), encoding]) + b"".join(parts) + body


def kind4(event: str, body: bytes, encoding: int) -> bytes:
    return bytes([4, len(TOPIC), len(event), 0, encoding]) + TOPIC.encode() + event.encode() + body


async def listen_with_python(api: Any) -> tuple[Any, asyncio.Queue[Any]]:
    client = await api.client()
    got: asyncio.Queue[Any] = asyncio.Queue()
    channel = client.channel("room")
    channel.on_broadcast("cursor", got.put_nowait)
    await channel.subscribe()
    return client, got


async def hears(wire: Wire, expected: Any) -> None:
    frame = await wire.next()
    assert frame == expected


async def test_text_and_binary_reach_both_versions(api: Any, dial: Dial) -> None:
    client, got = await listen_with_python(api)
    async with dial() as sender, dial() as peer:
        await sender.join(broadcast={"self": False, "ack": True})
        await peer.join()
        await sender.push("broadcast", MESSAGE)
        assert (await sender.until("phx_reply")) == {"status": "ok", "response": {}}
        await hears(peer, [None, None, TOPIC, "broadcast", MESSAGE])
        assert (await asyncio.wait_for(got.get(), PATIENCE))["payload"] == {"x": 1}
        await sender.connection.send(kind3("cursor", b'{"x":2}', 1))
        await hears(sender, ["1", "5", TOPIC, "phx_reply", {"status": "ok", "response": {}}])
        await hears(peer, kind4("cursor", b'{"x":2}', 1))
        assert (await asyncio.wait_for(got.get(), PATIENCE))["payload"] == {"x": 2}
        await sender.connection.send(kind3("cursor", b"\x00\xff", 0))
        await hears(peer, kind4("cursor", b"\x00\xff", 0))
    assert got.empty()
    await client.realtime.close()


async def test_self_asks_for_ones_own(dial: Dial) -> None:
    async with dial() as wire:
        await wire.join(broadcast={"self": True})
        await wire.push("broadcast", MESSAGE)
        assert await wire.until("broadcast") == MESSAGE


async def test_the_python_client_is_heard(api: Any, dial: Dial) -> None:
    client, _ = await listen_with_python(api)
    async with dial() as wire:
        await wire.join()
        await client.realtime.get_channels()[0].send_broadcast("cursor", {"y": 1})
        heard = await wire.until("broadcast")
        assert (heard["event"], heard["payload"]) == ("cursor", {"y": 1})
    await client.realtime.close()


async def test_broken_frames_leave_the_socket_up(dial: Dial) -> None:
    async with dial() as wire:
        for frame in ("", "{", "[]", '["1","1",5,"phx_join",{}]', b"", b"\x03\xff", orjson.dumps({"a": 1})):
            await wire.connection.send(frame)
        await wire.push("heartbeat", {}, topic="phoenix", ref="7")
        assert await wire.next() == ["1", "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]
