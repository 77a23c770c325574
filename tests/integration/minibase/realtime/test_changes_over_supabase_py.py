"""The official asynchronous Python client, unmodified."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from tests.integration.minibase.realtime.conftest import ADA, PATIENCE, user_token


async def listen(channel: Any, got: asyncio.Queue[Any]) -> list[str]:
    """Subscribe a channel that listens to todos; returns the list its states are appended to."""
    states: list[str] = []
    channel.on_postgres_changes("*", schema="public", table="todos", callback=got.put_nowait)
    await channel.subscribe(lambda state, error: states.append(f"{state.value}{error or ''}"))
    return states


async def record(got: asyncio.Queue[Any]) -> dict[str, Any]:
    change = await asyncio.wait_for(got.get(), PATIENCE)
    return dict(change["data"]["record"])


async def test_insert_right_after_subscribed_a_hundred_times(api: Any, owner: asyncpg.Connection) -> None:
    client = await api.client()
    for number in range(100):
        got: asyncio.Queue[Any] = asyncio.Queue()
        channel = client.channel(f"room{number}")
        states = await listen(channel, got)
        assert states == ["SUBSCRIBED"]
        await owner.execute("insert into todos (id) values ($1)", number)
        assert (await record(got))["id"] == number
        assert got.empty()
        await channel.unsubscribe()
    await client.realtime.close()


async def test_a_signed_in_user_hears_of_their_own_rows(api: Any, owner: asyncpg.Connection) -> None:
    client = await api.client()
    await client.realtime.set_auth(user_token(api, ADA))
    got: asyncio.Queue[Any] = asyncio.Queue()
    assert await listen(client.channel("room"), got) == ["SUBSCRIBED"]
    await owner.execute("insert into todos (id, owner) values (1, null), (2, $1)", ADA)
    assert (await record(got))["id"] == 2
    await owner.execute("update todos set title = 'x' where id = 2")
    change = await asyncio.wait_for(got.get(), PATIENCE)
    assert change["data"]["type"] == "UPDATE"
    assert change["data"]["old_record"] == {"id": 2}
    await client.realtime.close()


async def test_several_bindings_of_one_channel(api: Any, owner: asyncpg.Connection) -> None:
    client = await api.client()
    inserts: asyncio.Queue[Any] = asyncio.Queue()
    filtered: asyncio.Queue[Any] = asyncio.Queue()
    channel = client.channel("room")
    channel.on_postgres_changes("INSERT", schema="public", callback=inserts.put_nowait)
    channel.on_postgres_changes(
        "UPDATE", schema="public", table="todos", filter="title=eq.wanted", callback=filtered.put_nowait
    )
    states: list[str] = []
    await channel.subscribe(lambda state, error: states.append(f"{state.value}{error or ''}"))
    assert states == ["SUBSCRIBED"]
    await owner.execute("insert into todos (id) values (1), (2)")
    await owner.execute("update todos set title = case id when 1 then 'wanted' else 'other' end")
    assert [(await record(inserts))["id"] for _ in range(2)] == [1, 2]
    assert (await record(filtered))["id"] == 1
    assert filtered.empty()
    await client.realtime.close()


async def test_a_bad_binding_shows_as_an_error_with_its_words(api: Any, owner: asyncpg.Connection) -> None:
    client = await api.client()
    failed = asyncio.Event()
    errors: list[str] = []

    def on_state(state: Any, error: Exception | None) -> None:
        if error is not None:
            errors.append(str(error))
            failed.set()

    channel = client.channel("room")
    channel.on_postgres_changes("*", schema="public", table="todos", filter="nope=eq.1", callback=lambda _: None)
    await channel.subscribe(on_state)
    await asyncio.wait_for(failed.wait(), PATIENCE)
    assert "nope" in errors[0]
    await client.realtime.close()
