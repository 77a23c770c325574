"""Private channels: policies on `realtime.messages` decide who joins, hears and says what."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.integration.minibase.realtime.conftest import ADA, BOB, PATIENCE, Dial, Wire, user_token

POLICIES = f"""
create policy hear on realtime.messages for select to authenticated
    using (extension = 'broadcast' and realtime.topic() = 'room' and auth.uid() in ('{ADA}', '{BOB}'));
create policy say on realtime.messages for insert to authenticated
    with check (extension in ('broadcast', 'presence') and realtime.topic() = 'room' and auth.uid() = '{ADA}');
create policy see on realtime.messages for select to authenticated
    using (extension = 'presence' and realtime.topic() in ('room', 'lobby'));
"""
REFUSED = "Unauthorized: You do not have permissions to read from this Channel topic: "
MESSAGE = {"type": "broadcast", "event": "e", "payload": {"x": 1}}


@pytest.fixture(autouse=True)
async def policies(owner: asyncpg.Connection) -> None:
    await owner.execute(POLICIES)


async def is_quiet(wire: Wire) -> None:
    """Nothing is waiting: the answer to a heartbeat comes next."""
    await wire.push("heartbeat", {}, topic="phoenix", ref="7")
    assert (await wire.next())[2] == "phoenix"


async def test_who_may_join(api: Any, dial: Dial, admin: asyncpg.Connection) -> None:
    async with dial() as wire:
        ada = user_token(api, ADA)
        assert (await wire.join(private=True, token=ada))["status"] == "ok"
        reply = await wire.join(private=True)
        assert reply["response"]["reason"] == REFUSED + "room"
        await wire.push("phx_join", {"config": {"private": True}, "access_token": ada}, topic="realtime:den")
        assert (await wire.until("phx_reply"))["response"]["reason"] == REFUSED + "den"
        assert await admin.fetchval("select count(*) from realtime.messages") == 0


async def test_who_may_write_and_that_the_others_are_dropped_in_silence(api: Any, dial: Dial) -> None:
    async with dial() as ada, dial() as bob, dial() as outside:
        await ada.join(private=True, token=user_token(api, ADA), broadcast={"ack": True})
        await bob.join(private=True, token=user_token(api, BOB), broadcast={"ack": True})
        await outside.join()
        await bob.push("broadcast", MESSAGE)
        await is_quiet(bob)
        await ada.push("broadcast", MESSAGE)
        assert await ada.next() == ["1", "9", "realtime:room", "phx_reply", {"status": "ok", "response": {}}]
        assert await bob.next() == [None, None, "realtime:room", "broadcast", MESSAGE]
        await outside.push("broadcast", MESSAGE)
        await is_quiet(outside)
        await is_quiet(ada)


async def test_presence_alone_lets_in_but_lets_nothing_be_heard(api: Any, dial: Dial, owner: Any) -> None:
    async with dial() as wire:
        config = {"private": True, "presence": {"enabled": True}}
        await wire.push("phx_join", {"config": config, "access_token": user_token(api, BOB)}, topic="realtime:lobby")
        assert (await wire.until("phx_reply"))["status"] == "ok"
        assert await wire.until("presence_state") == {}
        await owner.execute("select realtime.send('{}', 'e', 'lobby')")
        track = {"type": "presence", "event": "track", "payload": {}}
        await wire.push("presence", track, topic="realtime:lobby")
        assert await wire.until("phx_reply") == {"status": "error", "response": {}}
        await is_quiet(wire)


async def test_presence_where_it_may_be_written(api: Any, dial: Dial) -> None:
    async with dial() as ada, dial() as bob:
        await ada.join(private=True, token=user_token(api, ADA), presence={"enabled": True, "key": "ada"})
        await bob.join(private=True, token=user_token(api, BOB), presence={"enabled": True, "key": "bob"})
        await bob.until("presence_state")
        await ada.push("presence", {"type": "presence", "event": "track", "payload": {"n": 1}})
        assert list((await bob.until("presence_diff"))["joins"]) == ["ada"]


async def test_a_new_token_is_asked_again(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join(private=True, token=user_token(api, BOB), broadcast={"ack": True})
        await wire.push("broadcast", MESSAGE)
        await is_quiet(wire)
        await wire.push("access_token", {"access_token": user_token(api, ADA)})
        await wire.push("broadcast", MESSAGE)
        assert (await wire.until("phx_reply"))["status"] == "ok"
        await owner.execute("drop policy hear on realtime.messages")
        await wire.push("access_token", {"access_token": user_token(api, ADA, lives=900)})
        notice = await wire.until("system")
        assert (notice["status"], notice["extension"], notice["message"]) == ("error", "system", REFUSED + "room")
        assert await wire.until("phx_close") == {}
        await owner.execute("select realtime.send('{}', 'e', 'room')")
        await is_quiet(wire)


async def test_a_policy_that_raises_lets_nobody_in_and_says_so(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute("create policy broken on realtime.messages for select using (1 / length(extension) > 1 / 0)")
    async with dial() as wire, dial() as other:
        reason = (await wire.join(private=True, token=user_token(api, ADA)))["response"]["reason"]
        assert reason.startswith(REFUSED + "room")
        assert "division by zero" in reason
        assert (await other.join())["status"] == "ok"


async def test_by_http_only_who_may_write_is_heard(api: Any, dial: Dial) -> None:
    batch = "/realtime/v1/api/broadcast"
    body = {"messages": [{"topic": "room", "event": "e", "payload": {"x": 1}, "private": True}]}
    async with dial() as wire:
        await wire.join(private=True, token=user_token(api, ADA))
        for user, status in ((BOB, 403), (ADA, 202)):
            headers = {"apikey": api.secrets.publishable_key, "authorization": f"Bearer {user_token(api, user)}"}
            assert (await api.http.post(batch, json=body, headers=headers)).status_code == 202
            single = await api.http.post(batch + "/room/events/e?private=true", json={"x": 1}, headers=headers)
            assert single.status_code == status
        assert await wire.next() == [None, None, "realtime:room", "broadcast", MESSAGE]
        assert (await wire.next()).endswith(b'e{"x":1}')
        await is_quiet(wire)


async def test_a_cut_stream_closes_private_rooms_so_that_they_come_back(
    api: Any, dial: Dial, admin: asyncpg.Connection
) -> None:
    async with dial() as wire:
        await wire.join(private=True, token=user_token(api, ADA))
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'minibase realtime'"
        )
        await asyncio.wait_for(wire.drained(), PATIENCE)
        assert wire.connection.close_code == 1012
