"""Broadcasts that their sender wants kept: said once, stored where a policy allows it, replayed to later joins."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import pytest

from tests.integration.minibase.realtime.conftest import ADA, BOB, Dial, Wire, user_token

POLICIES = f"""
create policy hear on realtime.messages for select to authenticated using (realtime.topic() like 'room%');
create policy say on realtime.messages for insert to authenticated with check (extension = 'broadcast');
create policy keep on realtime.messages for insert to authenticated
    with check (extension = 'persistence' and realtime.topic() = 'room' and auth.uid() = '{ADA}');
"""
TOPIC = "realtime:room"


@pytest.fixture(autouse=True)
async def policies(owner: asyncpg.Connection) -> None:
    await owner.execute(POLICIES)


async def say(wire: Wire, body: bytes, *, persist: Any = True, encoding: int = 1) -> None:
    parts = [b"1", b"5", TOPIC.encode(), b"e", orjson.dumps({"persist": persist})]
    await wire.connection.send(bytes([3, *map(len, parts), encoding]) + b"".join(parts) + body)


async def join_as(wire: Wire, api: Any, who: str, **broadcast: Any) -> None:
    assert (await wire.join(private=True, token=user_token(api, who), broadcast=broadcast))["status"] == "ok"


async def is_quiet(wire: Wire) -> None:
    await wire.push("heartbeat", {}, topic="phoenix", ref="7")
    assert (await wire.next())[2] == "phoenix"


async def test_it_is_said_once_and_replayed_to_whoever_joins_later(
    api: Any, dial: Dial, owner: asyncpg.Connection
) -> None:
    async with dial() as ada, dial() as bob, dial() as late:
        await join_as(ada, api, ADA, ack=True)
        await join_as(bob, api, BOB)
        await say(ada, b'{"n":1}')
        answer = await ada.until("phx_reply")
        message_id = answer["response"]["id"]
        assert answer == {"status": "ok", "response": {"id": message_id}}
        heard = await bob.next()
        assert heard.endswith(b'e{"id":"%s"}{"n":1}' % message_id.encode())
        await say(ada, b"\x00\xff", encoding=0)
        assert (await ada.until("phx_reply"))["status"] == "ok"
        assert (await bob.next()).endswith(b"\x00\xff")
        # Both are in the log now; what comes after them there shows that they were not said again.
        await owner.execute("select realtime.send('{}', 'after', 'room')")
        assert b"after" in await bob.next()
        assert b"after" in await ada.next()
        await join_as(late, api, BOB, replay={"since": 0, "limit": 2})
        first, last = await late.next(), await late.next()
        assert b'"replayed":true' in first
        assert first.endswith(b"\x00\xff")
        assert b"after" in last


async def test_who_may_not_keep_it_is_told_and_heard_all_the_same(
    api: Any, dial: Dial, admin: asyncpg.Connection
) -> None:
    async with dial() as ada, dial() as bob, dial() as public:
        await join_as(ada, api, ADA, ack=True)
        await join_as(bob, api, BOB, ack=True)
        await public.join(broadcast={"ack": True})
        await say(bob, b"{}")
        assert (await bob.until("phx_reply"))["response"] == {"error": "persist_is_not_allowed_by_any_policy"}
        assert (await ada.next()).endswith(b"e{}")
        await say(public, b"{}")
        assert (await public.until("phx_reply"))["response"] == {"error": "persist_needs_a_private_channel"}
        await say(ada, b"{}", persist={"ttl": -1})
        assert (await ada.until("phx_reply"))["status"] == "error"
        assert (await bob.next()).endswith(b"e{}")
        await say(ada, b'{"no":"\\u0000 in a jsonb"}')
        assert (await ada.until("phx_reply"))["response"] == {"error": "persist_failed"}
        assert await admin.fetchval("select count(*) from realtime.messages") == 0


async def test_what_has_expired_is_not_replayed(api: Any, dial: Dial, admin: asyncpg.Connection) -> None:
    async with dial() as ada, dial() as late:
        await join_as(ada, api, ADA, ack=True)
        for number in (1, 2):
            await say(ada, b'{"n":%d}' % number, persist={"ttl": 3600})
            assert (await ada.until("phx_reply"))["status"] == "ok"
        left = await admin.fetchval(
            "update realtime.messages set expires_at = expires_at - interval '2 hours' where payload ->> 'n' = '1' "
            "returning expires_at - inserted_at between interval '-3601 s' and interval '-3599 s'"
        )
        assert left is True
        await join_as(late, api, BOB, replay={"since": 0})
        assert (await late.next()).endswith(b'{"n": 2}')
        await is_quiet(late)


async def test_by_http(api: Any, dial: Dial, admin: asyncpg.Connection) -> None:
    path = "/realtime/v1/api/broadcast/room/events/e"

    async def send(who: str, query: str) -> int:
        headers = {"apikey": api.secrets.publishable_key, "authorization": f"Bearer {user_token(api, who)}"}
        return int((await api.http.post(path + query, json={"n": 1}, headers=headers)).status_code)

    async with dial() as bob:
        await join_as(bob, api, BOB)
        assert await send(ADA, "?private=true&persist=true") == 202
        assert await send(ADA, "?private=true&persist[ttl]=60") == 202
        for _ in range(2):
            assert (await bob.next()).endswith(b'{"n":1}')
        refused = ("?persist=true", "?private=true&persist=soon", "?private=true&persist[ttl]=soon")
        assert [await send(ADA, query) for query in refused] == [422, 422, 422]
        assert await send(BOB, "?private=true&persist=true") == 403
        await is_quiet(bob)
    lives = await admin.fetch("select round(extract(epoch from expires_at - inserted_at)) from realtime.messages")
    assert sorted(int(row[0]) for row in lives) == [60, 259_200]
