"""Presence among both clients' framings, and broadcasts sent by HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.minibase.realtime.conftest import PATIENCE, Dial

BATCH = "/realtime/v1/api/broadcast"


async def test_coming_and_going(api: Any, dial: Dial) -> None:
    client = await api.client()
    joined: asyncio.Queue[str] = asyncio.Queue()
    left: asyncio.Queue[str] = asyncio.Queue()
    channel = client.channel("room", {"config": {"presence": {"key": "python", "enabled": True}}})
    channel.on_presence_join(lambda key, _, __: joined.put_nowait(key))
    channel.on_presence_leave(lambda key, _, __: left.put_nowait(key))
    await channel.subscribe()
    await channel.track({"mood": "ok"})
    assert await asyncio.wait_for(joined.get(), PATIENCE) == "python"
    async with dial() as wire:
        await wire.join(presence={"key": "raw", "enabled": True})
        state = await wire.until("presence_state")
        assert [meta["mood"] for meta in state["python"]["metas"]] == ["ok"]
        await wire.push("presence", {"type": "presence", "event": "track", "payload": {"n": 1}})
        diff = await wire.until("presence_diff")
        assert (list(diff["joins"]), diff["leaves"]) == (["raw"], {})
        assert await wire.until("phx_reply") == {"status": "ok", "response": {}}
        assert await asyncio.wait_for(joined.get(), PATIENCE) == "raw"
    assert await asyncio.wait_for(left.get(), PATIENCE) == "raw"
    await client.realtime.close()


async def test_a_batch_by_http(api: Any, dial: Dial) -> None:
    async with dial() as wire:
        await wire.join()
        message = {"topic": "room", "event": "e", "payload": {"x": 1}}
        answer = await api.http.post(
            "/realtime/v1/api/broadcast",
            json={"messages": [{**message, "private": True}, message]},
            headers={"apikey": api.secrets.publishable_key},
        )
        assert (answer.status_code, answer.content) == (202, b"")
        assert await wire.until("broadcast") == {"type": "broadcast", "event": "e", "payload": {"x": 1}}


async def test_one_message_by_http_from_the_official_client(api: Any, dial: Dial) -> None:
    client = await api.client()
    async with dial(vsn="1.0.0") as old, dial() as new:
        await new.join()
        await old.connection.send('{"topic":"realtime:room","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}')
        await old.next()
        await client.channel("room").http_send("cursor", {"x": 2})
        assert (await old.next())["payload"] == {"type": "broadcast", "event": "cursor", "payload": {"x": 2}}
        assert (await new.next()).endswith(b'cursor{"x": 2}')


@pytest.mark.parametrize("name", ["rooms/a b", "100%", "ü?#&", "a:b"])
async def test_any_topic_and_event_survive_the_path(name: str, api: Any, dial: Dial) -> None:
    client = await api.client()
    async with dial() as wire:
        await wire.push("phx_join", {}, topic=f"realtime:{name}")
        await wire.until("phx_reply")
        await client.channel(name).http_send(name, {"x": 2})
        assert (await wire.next()).endswith(f'realtime:{name}{name}{{"x": 2}}'.encode())


async def test_limits_by_http(serve_api: Any) -> None:
    async with serve_api(max_events_per_second=1, max_payload_size_in_kb=1) as api:
        key = {"apikey": api.secrets.publishable_key}
        message = {"topic": "room", "event": "e", "payload": {}}
        large = {"topic": "room", "event": "e", "payload": {"x": "x" * 1000}}

        async def send(*messages: Any) -> int:
            return int((await api.http.post(BATCH, json={"messages": messages}, headers=key)).status_code)

        assert await send(message, large) == 422
        single = f"{BATCH}/room/events/e"
        assert (await api.http.post(single, json=large["payload"], headers=key)).status_code == 413
        assert await send(*[message] * 59) == 202
        assert (await api.http.post(single, json={}, headers=key)).status_code == 202
        refused = await api.http.post(single, json={}, headers=key)
        assert (refused.status_code, refused.json()) == (429, {"message": "You have exceeded your rate limit"})
        assert await send(*[message] * 59) == 429


async def test_refused_by_http(api: Any) -> None:
    key = {"apikey": api.secrets.publishable_key}
    single = "/realtime/v1/api/broadcast/room/events/e"
    batch = "/realtime/v1/api/broadcast"
    cases = [
        (batch, {"json": {"messages": [{"topic": "room", "event": "e"}]}, "headers": key}, 422),
        (batch, {"content": b"{", "headers": key}, 422),
        (batch, {"json": {}, "headers": {**key, "authorization": "Bearer nonsense"}}, 401),
        (single, {"content": b"x", "headers": {**key, "content-type": "text/plain"}}, 415),
        (single + "?private=true", {"json": {}, "headers": key}, 403),
        (batch + "/room/e", {"json": {}, "headers": key}, 404),
    ]
    for path, request, status in cases:
        assert (await api.http.post(path, **request)).status_code == status
