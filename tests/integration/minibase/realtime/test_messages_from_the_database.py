"""Broadcasts that were rows: `realtime.send`, triggers, replay; who hears them in which framing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import orjson

from tests.integration.minibase.realtime.conftest import ADA, PATIENCE, Dial, user_token

POLICY = (
    "create policy hear on realtime.messages for select to anon, authenticated using (realtime.topic() like 'room%')"
)
TRIGGER = """
create function shout() returns trigger language plpgsql security definer as $$
begin
    perform realtime.broadcast_changes('room', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
    return null;
end $$;
create trigger shout after insert or update or delete on todos for each row execute function shout();
"""


async def test_send_reaches_the_public_room_or_the_private_one(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(POLICY)
    async with dial(vsn="1.0.0") as old, dial() as public, dial() as private:
        await public.join()
        await private.join(private=True)
        await old.connection.send(
            '{"topic":"realtime:room","event":"phx_join","payload":{"config":{"private":true}},"ref":"1"}'
        )
        assert (await old.next())["payload"]["status"] == "ok"
        await owner.execute("""select realtime.send('{"x": 1, "id": "a"}', 'open', 'room', false)""")
        await owner.execute("""select realtime.send('{"x": 2, "id": "b"}', 'closed', 'room')""")
        row = await owner.fetchrow("select id from realtime.messages where event = 'closed'")
        heard = await old.next()
        assert heard == {
            "topic": "realtime:room",
            "event": "broadcast",
            "ref": None,
            "payload": {
                "type": "broadcast",
                "event": "closed",
                "payload": {"x": 2, "id": "b"},
                "meta": {"id": str(row["id"])},
            },
        }
        meta = orjson.dumps({"id": str(row["id"])})
        head = bytes((4, 13, 6, len(meta), 1)) + b"realtime:roomclosed" + meta
        frame = await private.next()
        assert frame[: len(head)] == head
        assert orjson.loads(frame[len(head) :]) == {"x": 2, "id": "b"}
        assert b"open" in await public.next()


async def test_bytes_reach_version_2_and_a_rolled_back_message_nobody(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(POLICY)
    async with dial() as wire:
        await wire.join(private=True)
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("select realtime.send('{}', 'undone', 'room')")
        await transaction.rollback()
        await owner.execute("select realtime.send_binary('\\x00ff', 'raw', 'room')")
        frame = await wire.next()
        assert frame[4] == 0
        assert frame.endswith(b"\x00\xff")


async def test_a_trigger_tells_what_changed_to_the_official_client(api: Any, owner: asyncpg.Connection) -> None:
    await owner.execute(POLICY)
    await owner.execute(TRIGGER)
    client = await api.client()
    got: asyncio.Queue[Any] = asyncio.Queue()
    channel = client.channel("room", {"config": {"private": True}})
    channel.on_broadcast("INSERT", got.put_nowait)
    channel.on_broadcast("DELETE", got.put_nowait)
    await channel.subscribe()
    await owner.execute("insert into todos (id, title) values (5, 'x')")
    await owner.execute("delete from todos")
    inserted, deleted = [(await asyncio.wait_for(got.get(), PATIENCE))["payload"] for _ in range(2)]
    assert (inserted["operation"], inserted["record"]["title"], inserted["old_record"]) == ("INSERT", "x", None)
    assert (deleted["operation"], deleted["record"], deleted["old_record"]["id"]) == ("DELETE", None, 5)
    await client.realtime.close()


async def test_a_message_follows_the_rows_of_its_transaction(dial: Dial, owner: asyncpg.Connection) -> None:
    """Whoever looks at the table on hearing a broadcast finds what was committed with it."""
    await owner.execute(POLICY)
    async with dial() as wire:
        await wire.join(private=True)
        for number in range(50):
            async with owner.transaction():
                await owner.execute("insert into todos (id) values ($1)", number)
                await owner.execute("select realtime.send('{}', 'n', 'room')")
            await wire.next()
            assert await owner.fetchval("select count(*) from todos") == number + 1


async def test_replay_brings_the_newest_first_missed_and_nothing_twice(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(POLICY)
    since = int(time.time() * 1000) - 60_000
    for number in range(4):
        await owner.execute("select realtime.send(jsonb_build_object('n', $1::int), 'old', 'room')", number)
    async with dial() as wire:
        await wire.join(private=True, broadcast={"replay": {"since": since, "limit": 3}})
        frames = [await wire.next() for _ in range(3)]
        assert [number for number in range(4) for frame in frames if b'"n": %d' % number in frame] == [1, 2, 3]
        assert all(b'"replayed":true' in frame for frame in frames)
        await owner.execute("select realtime.send('{}', 'new', 'room')")
        assert b"replayed" not in (frame := await wire.next())
        assert b"new" in frame


async def test_replay_is_refused_in_words(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(POLICY)
    async with dial() as wire:
        reply = await wire.join(broadcast={"replay": {"since": 1}})
        assert reply["response"]["reason"] == "UnableToReplayMessages: Replay is not allowed for public channels"
        reply = await wire.join(private=True, broadcast={"replay": {"since": "yesterday"}})
        assert reply["response"]["reason"] == "UnableToReplayMessages: Replay params are not valid"


async def test_who_asks_hears_when_database_broadcasts_flow(dial: Dial) -> None:
    async with dial() as wire:
        await wire.join(broadcast={"replication_ready": True})
        notice = await wire.until("system")
        assert (notice["extension"], notice["message"]) == ("system", "Replication connection established")


async def test_messages_are_no_changes_and_a_flood_keeps_its_order(
    api: Any, dial: Dial, owner: asyncpg.Connection
) -> None:
    await owner.execute(POLICY)
    async with dial() as wire, dial(api.secrets.service_role_key) as changes:
        await wire.join(private=True, token=user_token(api, ADA))
        await changes.join({"event": "*", "schema": "*"})
        await owner.execute(
            "select realtime.send(jsonb_build_object('n', n), 'e', 'room') from generate_series(1, 1000) as n"
        )
        await owner.execute("insert into todos (id) values (1)")
        heard = [await wire.next() for _ in range(1000)]
        assert [orjson.loads(frame[frame.index(b"}{") + 1 :])["n"] for frame in heard] == list(range(1, 1001))
        assert (await changes.change())["table"] == "todos"
