"""Mutated frames and hostile joins, text and binary, in both versions: every socket answers on, and nothing is left."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import random
from typing import Any

import asyncpg
import pytest

from minibase.realtime.lanes import Lane
from minibase.realtime.socket import SocketSession
from minibase.realtime.subscribers import Subscriber
from tests.integration.minibase.realtime.conftest import ADA, PATIENCE, Dial, Wire, user_token

VERSIONS = ("1.0.0", "2.0.0")
BETWEEN_HEARTBEATS = 20
TOPICS = ("realtime:room", "realtime:other", "realtime:", "phoenix", "room", "realtime:\u0000", "realtime:" + "ü" * 300)
EVENTS = ("phx_join", "phx_join", "phx_leave", "broadcast", "presence", "access_token", "heartbeat", "phx_close", "")
HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**63,
        1e308,
        "",
        "\u0000",
        "*",
        "x" * 5_000,
        "'; drop table todos; --",
        '"',
        "\\",
        "%s",
        "$1",
    ),
    *([], {}, [[[]]], {"a": {"a": {}}}, ["title"], {"since": -1}, {"since": 1, "limit": 10**30}),
    *(
        "id=eq.\u0000",
        "id=in.(1,2",
        "title=like.\\",
        "title=match.(",
        "done=is.perhaps",
        "id=eq.1,,,",
        "a" * 70 + "=eq.1",
    ),
    *("id=not.not.eq.1", "id=in.()", "owner=eq.zzz", "id=eq.99999999999999999999", 'title=in.("a,b)'),
)


def valid_payload(event: str, rng: random.Random, token: str) -> dict[str, Any]:
    match event:
        case "phx_join":
            binding = {"event": "*", "schema": "public", "table": "todos", "filter": "id=gt.5", "select": ["title"]}
            config = {
                "postgres_changes": [binding] * rng.randrange(3),
                "broadcast": {"self": True, "ack": True, "replay": None},
                "presence": {"key": "k", "enabled": rng.random() < 0.5},
                "private": rng.random() < 0.3,
                "postgres_changes_options": {"wait": rng.random() < 0.2},
            }
            return {"config": config, "access_token": rng.choice([token, "sb_x", "nonsense"])}
        case "broadcast":
            return {"type": "broadcast", "event": "e", "payload": {"x": 1}}
        case "presence":
            return {"type": "presence", "event": rng.choice(["track", "untrack"]), "payload": {"mood": "ok"}}
        case "access_token":
            return {"access_token": token}
        case _:
            return {}


def mutate_value(value: Any, rng: random.Random) -> Any:
    """One node of the value, anywhere, becomes something hostile, or goes."""
    if isinstance(value, dict | list) and value and rng.random() < 0.8:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        if rng.random() < 0.1:
            del value[key]
        else:
            value[key] = mutate_value(value[key], rng)
        return value
    return copy.deepcopy(rng.choice(HOSTILE))


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0:
                out[at:at] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + rng.randrange(1, 8)]
            case 2:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case _:
                out += out[: rng.randrange(len(out) + 1)]
    return bytes(out)


def frame(version: str, rng: random.Random, token: str) -> str | bytes:
    """A frame a client might send, then perhaps spoilt: in a value, or in its bytes."""
    topic, event = rng.choice(TOPICS), rng.choice(EVENTS)
    if rng.random() < 0.2:
        parts = [b"1", b"5", topic.encode()[:255], b"cursor", b""]
        whole = bytes([3, *map(len, parts), rng.randrange(3)]) + b"".join(parts) + b'{"x":1}'
        return whole if rng.random() < 0.3 else mutate_bytes(whole, rng)
    payload = valid_payload(event, rng, token)
    refs = [rng.choice(["1", "2", None]), rng.choice(["5", None])]
    fields: Any = [*refs, topic, event, payload]
    if version == "1.0.0":
        fields = dict(zip(("join_ref", "ref", "topic", "event", "payload"), fields, strict=True))
    if rng.random() < 0.6:
        fields = mutate_value(fields, rng)
    text = json.dumps(fields)
    if rng.random() < 0.2:
        return mutate_bytes(text.encode(), rng).decode(errors="replace")
    return text


async def is_alive(wire: Wire, version: str) -> None:
    """The socket answers a heartbeat, after whatever else it has to say."""
    beat: Any = ["1", "alive", "phoenix", "heartbeat", {}]
    if version == "1.0.0":
        beat = {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": "alive"}
    await wire.connection.send(json.dumps(beat))
    async with asyncio.timeout(PATIENCE):
        while True:
            said = await wire.connection.recv()
            if isinstance(said, str) and '"alive"' in said:
                return


async def fuzz_one_socket(dial: Dial, version: str, rng: random.Random, token: str, count: int) -> None:
    """No frame of these is a reason to end a socket: one that ends fails the test."""
    async with dial(vsn=version) as wire:
        for number in range(1, count + 1):
            await wire.connection.send(frame(version, rng, token))
            if number % BETWEEN_HEARTBEATS == 0:
                await is_alive(wire, version)
        await is_alive(wire, version)


async def nothing_is_left_behind() -> None:
    """No object of a socket that is gone is alive."""
    for _ in range(100):
        gc.collect()
        left = [each for each in gc.get_objects() if isinstance(each, Subscriber | SocketSession | Lane)]
        if not left:
            return
        await asyncio.sleep(PATIENCE / 100)
    raise AssertionError(f"{len(left)} objects are left, {left[0]!r} is one")


@pytest.mark.parametrize("frames", [400, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_no_frame_breaks_a_socket_or_stays_behind(
    frames: int, api: Any, dial: Dial, owner: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    rng, token = random.Random(7), user_token(api, ADA)
    async with dial() as bystander:
        await bystander.join({"event": "INSERT", "schema": "public", "table": "todos"})
        for number in range(frames // 200):
            await fuzz_one_socket(dial, VERSIONS[number % 2], rng, token, 200)
            await is_alive(bystander, "2.0.0")  # a socket that is silent for a minute is closed
        await owner.execute("insert into todos (id) values (1)")
        assert (await bystander.change())["record"]["id"] == 1
    await nothing_is_left_behind()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
