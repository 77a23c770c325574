"""Rights at the edges: keys that are not readable, values out of line, grants that go, channels that join again."""

from __future__ import annotations

from typing import Any

import asyncpg
from websockets.asyncio.client import connect

from tests.integration.minibase.realtime.conftest import ADA, BOB, PATIENCE, Dial, Wire, user_token

NOTES = {"event": "*", "schema": "public", "table": "notes"}


async def is_quiet(wire: Wire) -> None:
    await wire.push("heartbeat", {}, topic="phoenix", ref="7")
    assert (await wire.next())[2] == "phoenix"


async def test_a_deleted_row_is_filtered_also_where_its_key_may_not_be_read(
    dial: Dial, owner: asyncpg.Connection
) -> None:
    await owner.execute("alter table notes replica identity full; revoke select (id) on notes from anon")
    await owner.execute("insert into notes values (1, 'a', 's'), (2, 'b', 's')")
    async with dial() as wire:
        await wire.join({**NOTES, "filter": "body=eq.b"})
        assert (await wire.until("system"))["status"] == "ok"
        await owner.execute("delete from notes")
        assert (await wire.change())["old_record"] == {"body": "b"}
        await is_quiet(wire)


async def test_a_deleted_row_is_told_to_nobody_whose_filter_looks_at_what_it_may_not_read(
    dial: Dial, owner: asyncpg.Connection
) -> None:
    await owner.execute("alter table notes replica identity full; grant select (secret) on notes to anon")
    await owner.execute("insert into notes values (1, 'a', 's')")
    async with dial() as wire:
        await wire.join({**NOTES, "filter": "secret=eq.other"})
        assert (await wire.until("system"))["status"] == "ok"
        await owner.execute("revoke select (secret, id) on notes from anon")
        await owner.execute("delete from notes")
        await owner.execute("insert into notes values (2, 'b', 's')")
        assert (await wire.change())["errors"] == ["Error 401: Unauthorized"]
        await is_quiet(wire)


async def test_former_values_of_columns_a_role_may_not_read_are_not_told(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute("alter table notes replica identity full; insert into notes values (1, 'a', 'hidden')")
    async with dial() as wire:
        await wire.join(NOTES)
        await owner.execute("update notes set secret = 'also hidden', body = 'b'")
        assert (await wire.change())["old_record"] == {"id": 1, "body": "a"}
        await owner.execute("revoke select (body) on notes from anon")
        await owner.execute("delete from notes")
        data = await wire.change()
        assert (data["old_record"], data["columns"]) == ({"id": 1}, [{"name": "id", "type": "int4"}])


async def test_values_out_of_line(dial: Dial, owner: asyncpg.Connection) -> None:
    """What an UPDATE did not touch is not in the log, unless the whole old row is."""
    await owner.execute("alter table notes alter body set storage external")
    await owner.execute("insert into notes values (1, repeat('x', 5000), 's')")
    async with dial() as wire:
        await wire.join(NOTES, {**NOTES, "filter": "body=neq.other"})
        await owner.execute("update notes set secret = 't'")
        payload = await wire.until("postgres_changes")
        assert (payload["data"]["record"], len(payload["ids"])) == ({"id": 1}, 1)
        await owner.execute("alter table notes replica identity full")
        await owner.execute("update notes set secret = 'u'")
        payload = await wire.until("postgres_changes")
        assert (payload["data"]["record"]["body"], len(payload["ids"])) == ("x" * 5000, 2)


async def test_a_key_out_of_line_is_still_a_key(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(
        """
        create table pages (path text primary key, n int);
        alter table pages alter path set storage external;
        alter table pages enable row level security;
        create policy everybody on pages for select using (n >= 0 and n < 10);
        alter publication supabase_realtime add table pages;
        """
    )
    path = await owner.fetchval(
        "insert into pages select string_agg(md5(i::text), ''), 1 from generate_series(1, 70) as i returning path"
    )
    async with dial() as wire:
        await wire.join({"event": "*", "schema": "public", "table": "pages"})
        await owner.execute("update pages set n = 2")
        data = await wire.change()
        assert (data["record"], data["old_record"]) == ({"path": path, "n": 2}, {"path": path})


async def test_a_schema_closed_to_a_role_is_closed_to_its_subscribers(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(
        """
        create schema side; create table side.t (id int primary key);
        grant usage on schema side to anon; grant select on side.t to anon;
        alter publication supabase_realtime add table side.t;
        """
    )
    async with dial() as wire:
        await wire.join({"event": "*", "schema": "side", "table": "t"})
        await owner.execute("insert into side.t values (0)")
        assert (await wire.change())["record"] == {"id": 0}
        await owner.execute("revoke usage on schema side from anon")
        for number in range(1, 1000):
            await owner.execute("insert into side.t values ($1)", number)
            if (await wire.change())["errors"] == ["Error 401: Unauthorized"]:
                return
        raise AssertionError("rows of a closed schema are still told")


async def test_presence_across_new_tokens_and_joins(api: Any, dial: Dial) -> None:
    enabled = {"presence": {"key": "ada", "enabled": True}}
    track = {"type": "presence", "event": "track", "payload": {"n": 1}}
    async with dial() as ada, dial() as bob:
        await bob.join(presence={"key": "bob", "enabled": True})
        await bob.until("presence_state")
        await ada.join(**enabled, token=user_token(api, ADA))
        await ada.push("presence", track)
        first = (await bob.until("presence_diff"))["joins"]["ada"]["metas"]
        await ada.push("access_token", {"access_token": user_token(api, ADA, lives=900)})
        await is_quiet_for_presence(ada)
        await is_quiet(bob)
        await ada.join(**enabled, token=user_token(api, BOB))
        assert await bob.until("presence_diff") == {"joins": {}, "leaves": {"ada": {"metas": first}}}
        await ada.push("presence", track)
        again = (await bob.until("presence_diff"))["joins"]["ada"]["metas"]
        assert [set(meta) for meta in again] == [{"n", "phx_ref"}]
        assert again != first


async def is_quiet_for_presence(wire: Wire) -> None:
    """The new token has been handled: what was sent after it is answered."""
    await wire.push("heartbeat", {}, topic="phoenix", ref="8")
    while (await wire.next())[2] != "phoenix":
        pass


async def test_the_header_outranks_the_query(api: Any) -> None:
    url = api.url.replace("http", "ws") + "/realtime/v1/websocket?vsn=2.0.0&apikey=nonsense"
    async with connect(
        url, additional_headers={"x-api-key": api.secrets.anon_key}, open_timeout=PATIENCE
    ) as connection:
        assert (await Wire(connection=connection).join())["status"] == "ok"
