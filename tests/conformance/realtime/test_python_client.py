"""What the official Python client relies on, against whatever Supabase is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import pytest
from place import Place
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from tests.conformance.realtime.conftest import PATIENCE, Writer

Connect = Callable[..., Coroutine[Any, Any, AsyncClient]]


@pytest.fixture
async def signed_in(place: Place) -> AsyncIterator[Connect]:
    """A client with nobody's token but the key's, or with that of a person."""
    clients: list[AsyncClient] = []
    http = httpx.AsyncClient()

    async def open_client(person: str | None = None) -> AsyncClient:
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
        client = await acreate_client(place.url, place.anon_key, options)
        clients.append(client)
        if person:
            await client.realtime.set_auth(place.tokens[person])
        return client

    yield open_client
    for client in clients:
        await client.realtime.close()
    await http.aclose()


async def listen(
    client: AsyncClient, table: str, run: str, event: str = "*", topic: str = "room"
) -> asyncio.Queue[Any]:
    got: asyncio.Queue[Any] = asyncio.Queue()
    states: list[str] = []
    channel = client.channel(topic)
    channel.on_postgres_changes(event, got.put_nowait, table=table, schema="public", filter=f"run=eq.{run}")
    await channel.subscribe(lambda state, error: states.append(f"{state.value} {error or ''}".strip()))
    assert states == ["SUBSCRIBED"]
    return got


async def numbers(got: asyncio.Queue[Any], count: int) -> list[int]:
    changes = [await asyncio.wait_for(got.get(), PATIENCE) for _ in range(count)]
    return [change["data"]["record"]["n"] for change in changes]


async def insert_after_each_join(connect: Connect, writer: Writer, run: str, rounds: int) -> None:
    client = await connect()
    for n in range(rounds):
        got = await listen(client, "conformance_open", run, topic=f"round-{n}")
        await writer.insert("conformance_open", {"run": run, "n": n})
        assert await numbers(got, 1) == [n]
        await client.realtime.get_channels()[0].unsubscribe()


async def test_an_insert_right_after_the_join_arrives(signed_in: Connect, writer: Writer, run: str) -> None:
    await insert_after_each_join(signed_in, writer, run, 30)


@pytest.mark.slow
async def test_an_insert_right_after_the_join_arrives_1000_times(signed_in: Connect, writer: Writer, run: str) -> None:
    await insert_after_each_join(signed_in, writer, run, 1000)


async def test_a_thousand_rows_of_one_transaction_arrive_in_order(signed_in: Connect, writer: Writer, run: str) -> None:
    got = await listen(await signed_in(), "conformance_open", run)
    await writer.insert("conformance_open", *({"run": run, "n": n} for n in range(1000)))
    assert await numbers(got, 1000) == list(range(1000))


async def test_people_hear_of_their_own_rows(signed_in: Connect, place: Place, writer: Writer, run: str) -> None:
    heard = {name: await listen(await signed_in(name), "conformance_owned", run) for name in ("ada", "bob")}
    owners = ["ada", "bob", "bob", "ada", "ada", "bob"]
    rows = ({"run": run, "n": n, "owner": place.ids[name]} for n, name in enumerate(owners))
    await writer.insert("conformance_owned", *rows)
    for name, got in heard.items():
        assert await numbers(got, 3) == [n for n, owner in enumerate(owners) if owner == name]
        assert got.empty()


async def test_a_policy_that_raises_for_one_leaves_the_others_every_row(
    signed_in: Connect, writer: Writer, run: str
) -> None:
    heard = {name: await listen(await signed_in(name), "conformance_raising", run) for name in ("ada", "broken", "bob")}
    for n in range(0, 100, 10):
        await writer.insert("conformance_raising", *({"run": run, "n": n + k} for k in range(10)))
    assert await numbers(heard["ada"], 100) == list(range(100))
    assert await numbers(heard["bob"], 100) == list(range(100))
    assert heard["broken"].empty()


async def test_a_new_token_changes_what_is_heard(signed_in: Connect, place: Place, writer: Writer, run: str) -> None:
    client = await signed_in("ada")
    channel = client.channel("room")
    got: asyncio.Queue[Any] = asyncio.Queue()
    notices: asyncio.Queue[Any] = asyncio.Queue()
    channel.on_postgres_changes("*", got.put_nowait, table="conformance_owned", schema="public")
    channel.on_system(notices.put_nowait)
    await channel.subscribe()
    await asyncio.wait_for(notices.get(), PATIENCE)
    await client.realtime.set_auth(place.tokens["bob"])
    await asyncio.wait_for(notices.get(), PATIENCE)
    rows = ({"run": run, "n": n, "owner": place.ids[name]} for n, name in enumerate(("ada", "bob")))
    await writer.insert("conformance_owned", *rows)
    assert await numbers(got, 1) == [1]


async def test_broadcast_presence_and_their_rooms(signed_in: Connect, run: str) -> None:
    clients = [await signed_in(), await signed_in()]
    heard: asyncio.Queue[Any] = asyncio.Queue()
    came: asyncio.Queue[str] = asyncio.Queue()
    channels = [client.channel(run, {"config": {"presence": {"key": "k", "enabled": True}}}) for client in clients]
    channels[1].on_broadcast("cursor", heard.put_nowait)
    channels[1].on_presence_join(lambda key, _, __: came.put_nowait(key))
    for channel in channels:
        await channel.subscribe()
    await channels[0].send_broadcast("cursor", {"x": 1})
    assert (await asyncio.wait_for(heard.get(), PATIENCE))["payload"] == {"x": 1}
    await channels[0].track({"mood": "ok"})
    assert await asyncio.wait_for(came.get(), PATIENCE) == "k"


async def test_private_channels_hear_the_database(signed_in: Connect, writer: Writer, run: str) -> None:
    topic = f"conformance-{run}"
    got: asyncio.Queue[Any] = asyncio.Queue()
    client = await signed_in("bob")
    channel = client.channel(topic, {"config": {"private": True}})
    channel.on_broadcast("said", got.put_nowait)
    await channel.subscribe()
    for n in range(20):
        await writer.say(topic, n)
    heard = [(await asyncio.wait_for(got.get(), PATIENCE))["payload"]["n"] for _ in range(20)]
    assert heard == list(range(20))


async def test_a_private_channel_lets_in_only_whom_a_policy_names(signed_in: Connect, run: str) -> None:
    states: asyncio.Queue[Any] = asyncio.Queue()
    client = await signed_in()
    channel = client.channel(f"conformance-{run}", {"config": {"private": True}})
    await channel.subscribe(lambda state, error: states.put_nowait((state.value, str(error))))
    state, error = await asyncio.wait_for(states.get(), PATIENCE)
    assert state == "CHANNEL_ERROR"
    assert "do not have permissions to read" in error
