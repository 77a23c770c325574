"""postgres_changes as they arrive on the wire: content, order, rights, filters, refusals."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import asyncpg
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.integration.minibase.realtime.conftest import ADA, BOB, PATIENCE, Dial, user_token

TODOS = {"event": "*", "schema": "public", "table": "todos"}
SUBSCRIBED = {
    "channel": "room",
    "extension": "postgres_changes",
    "status": "ok",
    "message": "Subscribed to PostgreSQL",
}


async def test_a_row_from_insert_to_delete(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        reply = await wire.join(TODOS)
        assert reply["status"] == "ok"
        (echo,) = reply["response"]["postgres_changes"]
        assert {**echo, "id": None} == {**TODOS, "id": None}
        assert await wire.until("system") == SUBSCRIBED
        await owner.execute("insert into todos (id, title) values (6, 'new')")
        payload = await wire.until("postgres_changes")
        assert payload["ids"] == [echo["id"]]
        data = payload["data"]
        assert data.pop("commit_timestamp").endswith("Z")
        assert data == {
            "schema": "public",
            "table": "todos",
            "type": "INSERT",
            "errors": None,
            "columns": [
                {"name": "id", "type": "int8"},
                {"name": "title", "type": "text"},
                {"name": "done", "type": "bool"},
                {"name": "owner", "type": "uuid"},
            ],
            "record": {"id": 6, "title": "new", "done": False, "owner": None},
        }
        await owner.execute("update todos set title = 'newer' where id = 6")
        data = await wire.change()
        assert (data["type"], data["record"]["title"], data["old_record"]) == ("UPDATE", "newer", {"id": 6})
        await owner.execute("delete from todos where id = 6")
        data = await wire.change()
        assert (data["type"], data["old_record"], "record" in data) == ("DELETE", {"id": 6}, False)


async def test_policies_decide_for_each_user(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as ada, dial() as bob, dial(api.secrets.service_role_key) as service:
        await ada.join(TODOS, token=user_token(api, ADA))
        await bob.join(TODOS, token=user_token(api, BOB))
        await service.join(TODOS)
        for user, title in ((ADA, "a1"), (BOB, "b1"), (None, "n1"), (ADA, "a2"), (BOB, "b2")):
            await owner.execute("insert into todos (owner, title) values ($1, $2)", user, title)
        assert [(await ada.change())["record"]["title"] for _ in range(2)] == ["a1", "a2"]
        assert [(await bob.change())["record"]["title"] for _ in range(2)] == ["b1", "b2"]
        titles = [(await service.change())["record"]["title"] for _ in range(5)]
        assert titles == ["a1", "b1", "n1", "a2", "b2"]


async def test_a_deleted_row_tells_only_its_key_where_policies_guard_it(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute("alter table todos replica identity full; insert into todos (id, title) values (1, 'secret')")
    async with dial() as wire:
        await wire.join(TODOS)
        await owner.execute("update todos set done = true")
        data = await wire.change()
        assert data["old_record"] == {"id": 1, "title": "secret", "done": False, "owner": None}
        await owner.execute("delete from todos")
        assert (await wire.change())["old_record"] == {"id": 1}


async def test_columns_a_role_may_not_select_are_not_shown(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join({"event": "INSERT", "schema": "public", "table": "notes"})
        await owner.execute("insert into notes values (1, 'hello', 'hidden')")
        data = await wire.change()
        assert data["record"] == {"id": 1, "body": "hello"}
        assert [column["name"] for column in data["columns"]] == ["id", "body"]


FILTERS = {
    "id=gt.9": [10, 11],
    "id=in.(2,10)": [2, 10],
    "title=eq.b": [10],
    "title=like.%b%": [10, 11],
    "title=not.ilike.%B%": [2],
    "title=match.^a?b+$": [10, 11],
    "done=is.true": [11],
    "owner=is.null": [2, 10],
    f"owner=isdistinct.{ADA.upper()}": [2, 10],
    "title=lt.b": [2, 11],
    "id=gte.2,done=is.false": [2, 10],
}


async def test_filters(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    seen: dict[str, list[int]] = {}
    for text in FILTERS:
        async with dial(api.secrets.service_role_key) as wire:
            await wire.join({**TODOS, "filter": text}, {**TODOS, "event": "DELETE"})
            assert (await wire.until("system"))["status"] == "ok"
            await owner.execute(
                "insert into todos (id, title, done, owner) values (2, 'a', false, null), (10, 'b', false, null), "
                f"(11, 'abbb', true, '{ADA}')"
            )
            await owner.execute("delete from todos")
            seen[text] = []
            while (data := await wire.change())["type"] == "INSERT":
                seen[text].append(data["record"]["id"])
    assert seen == FILTERS


BAD_BINDINGS: list[tuple[dict[str, Any], str]] = [
    ({**TODOS, "filter": "nope=eq.1"}, "'nope' does not exist"),
    ({**TODOS, "filter": "id=eq.abc"}, "invalid input syntax"),
    ({**TODOS, "filter": "title=match.("}, "regular expression"),
    ({**TODOS, "filter": "id=like.1%"}, "operator does not exist"),
    ({**TODOS, "filter": "title=is.true"}, "boolean"),
    ({**TODOS, "filter": "id=zz.1"}, "Error parsing `filter` params"),
    ({**TODOS, "select": "title"}, "list of column names"),
    ({**TODOS, "select": ["nope"]}, "'nope' does not exist"),
    ({**TODOS, "table": "missing"}, "Please check Realtime is enabled"),
    ({"event": "*", "schema": "public", "table": "notes", "filter": "secret=eq.x"}, "may not be selected"),
    ({"event": "*"}, "at least a `schema` or `table`"),
]


async def test_bad_bindings_are_refused_in_words(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        for binding, words in BAD_BINDINGS:
            assert (await wire.join(binding))["status"] == "ok"
            notice = await wire.until("system")
            assert notice["status"] == "error", binding
            assert words in notice["message"]


async def test_a_table_published_after_the_join_is_heard(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join({"event": "*", "schema": "public", "table": "later"})
        await owner.execute("create table later (id int primary key); grant select on later to anon")
        await owner.execute("alter publication supabase_realtime add table later")
        await owner.execute("insert into later values (1)")
        assert (await wire.change())["record"] == {"id": 1}


async def test_changes_to_table_and_policies_count_from_the_next_row_on(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join(TODOS)
        await owner.execute("insert into todos (id) values (1)")
        assert (await wire.change())["record"]["id"] == 1
        await owner.execute("alter table todos add column colour text default 'red'")
        await owner.execute("insert into todos (id) values (2)")
        assert (await wire.change())["record"]["colour"] == "red"
        await owner.execute("drop policy everybody on todos")
        await owner.execute("insert into todos (id) values (3)")
        await owner.execute("create policy fourth on todos for select using (id = 4)")
        await owner.execute("insert into todos (id) values (4)")
        assert (await wire.change())["record"]["id"] == 4


async def test_a_policy_that_raises_is_felt_by_its_own_subscribers_only(
    api: Any, dial: Dial, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "create policy broken on todos for select to authenticated "
        "using (1 / (case when title = 'bad' then 0 else 1 end) > 0)"
    )
    async with dial() as ada, dial() as visitor:
        await ada.join(TODOS, token=user_token(api, ADA))
        await visitor.join(TODOS)
        assert (await ada.until("system"))["status"] == "ok"
        await owner.execute("insert into todos (id, title) values (1, 'good'), (2, 'bad'), (3, 'good')")
        assert [(await visitor.change())["record"]["id"] for _ in range(3)] == [1, 2, 3]
        # The notice comes among the rows, wherever the log's batches end.
        frames = [await ada.next() for _ in range(3)]
        [notice] = [frame[4] for frame in frames if frame[3] == "system"]
        assert notice["status"] == "error"
        assert "division by zero" in notice["message"]
        changes = [frame[4]["data"] for frame in frames if frame[3] == "postgres_changes"]
        assert [change["record"]["id"] for change in changes] == [1, 3]


async def test_tables_without_a_key_and_without_rights_say_so(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(
        "create table keyless (a int); create table closed (id int primary key);"
        "grant select on keyless to anon; revoke all on closed from anon;"
        "alter publication supabase_realtime add table keyless, closed"
    )
    async with dial() as wire:
        await wire.join({"event": "*", "schema": "public"})
        await owner.execute("insert into keyless values (1)")
        data = await wire.change()
        assert (data["errors"], data["record"]) == (["Error 400: Bad Request, no primary key"], {})
        await owner.execute("insert into closed values (1)")
        data = await wire.change()
        assert (data["errors"], data["commit_timestamp"]) == (["Error 401: Unauthorized"], None)


async def test_selected_columns(dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join({**TODOS, "select": ["title"]}, TODOS)
        await owner.execute("insert into todos (id, title) values (1, 'x')")
        records = [(await wire.change())["record"] for _ in range(2)]
        assert records == [{"id": 1, "title": "x"}, {"id": 1, "title": "x", "done": False, "owner": None}]


async def test_a_new_token_changes_who_is_listening(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join(TODOS, token=user_token(api, ADA))
        assert await wire.until("system") == SUBSCRIBED
        await wire.push("access_token", {"access_token": user_token(api, BOB)})
        assert await wire.until("system") == SUBSCRIBED
        await owner.execute("insert into todos (id, owner) values (1, $1), (2, $2)", ADA, BOB)
        assert (await wire.change())["record"]["id"] == 2


async def test_new_tokens_lose_double_and_disorder_nothing(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    """Each token has claims of its own, so each time others decide what is shown."""
    rows = 400
    await owner.execute(
        "create policy slow on todos for select to authenticated using (owner is null and pg_sleep(0.002) is not null)"
    )
    async with dial() as wire:
        await wire.join(TODOS, token=user_token(api, ADA))
        assert await wire.until("system") == SUBSCRIBED

        async def write() -> None:
            for number in range(rows):
                await owner.execute("insert into todos (id) values ($1)", number)

        async def renew() -> None:
            for lives in itertools.count(700):
                await wire.push("access_token", {"access_token": user_token(api, ADA, lives=lives)})
                await asyncio.sleep(0.01)

        writing, renewing = asyncio.create_task(write()), asyncio.create_task(renew())
        try:
            heard = [(await wire.change())["record"]["id"] for _ in range(rows)]
        finally:
            renewing.cancel()
        await writing
        assert heard == list(range(rows))


async def test_a_new_token_is_heard_though_the_old_one_has_more_to_decide_than_it_can(
    api: Any, dial: Dial, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "create policy slow on todos for select to authenticated "
        f"using (owner is null and pg_sleep(case when auth.uid() = '{ADA}' then 0.05 else 0 end) is not null)"
    )
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await owner.execute("insert into todos (id) values ($1)", written)
            written += 1
            await asyncio.sleep(0.02)

    async with dial() as wire:
        await wire.join(TODOS, token=user_token(api, ADA))
        assert await wire.until("system") == SUBSCRIBED
        writing = asyncio.create_task(write())
        try:
            await wire.change()
            await wire.push("access_token", {"access_token": user_token(api, BOB)})
            assert await wire.until("system") == SUBSCRIBED
            last = written + 10
            async with asyncio.timeout(PATIENCE):
                while (await wire.change())["record"]["id"] < last:
                    pass
        finally:
            writing.cancel()


async def test_an_expiring_token_ends_the_channel_in_words(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    async with dial() as wire:
        await wire.join(TODOS, token=user_token(api, ADA, lives=1.5))
        assert await wire.until("system") == SUBSCRIBED
        notice = await wire.until("system")
        assert (notice["extension"], notice["status"]) == ("system", "error")
        assert notice["message"].startswith("Token has expired")
        assert await wire.until("phx_close") == {}


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("vsn=2.0.0", 401, "API key is missing"),
        ("vsn=2.0.0&apikey=nonsense", 401, "not a valid JWT"),
        ("vsn=2.0.0&apikey={expired}", 401, "Token has expired"),
        ("vsn=3.0.0&apikey=x", 403, "3.0.0"),
    ],
)
async def test_refused_before_the_upgrade(api: Any, query: str, status: int, words: str) -> None:
    query = query.format(expired=user_token(api, ADA, lives=-1))
    url = api.url.replace("http", "ws") + f"/realtime/v1/websocket?{query}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, open_timeout=PATIENCE)
    assert refused.value.response.status_code == status
    assert words in (refused.value.response.body or b"").decode()


async def test_nothing_committed_before_the_join_and_everything_after(dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute("insert into todos (id) select generate_series(1, 3000)")
    async with dial() as wire:
        await wire.join(TODOS)
        await owner.execute("insert into todos (id) values (5000)")
        assert (await wire.change())["record"]["id"] == 5000


async def test_values_look_as_to_jsonb_prints_them(api: Any, dial: Dial, owner: asyncpg.Connection) -> None:
    await owner.execute(
        """
        create type mood as enum ('ok', 'so so');
        create type pair as (a int, b text);
        create domain short as varchar(5);
        create table kinds (
            id uuid primary key default gen_random_uuid(), i2 int2, i8 int8, n numeric, f float8, b bool, t text,
            ts timestamp, tz timestamptz, d date, j json, jb jsonb, ai int[], at text[], aa int[], m mood, am mood[],
            p pair, ap pair[], s short, iv interval, ip inet, r int4range, tt time, c char(3), atz timestamptz[]
        );
        alter publication supabase_realtime add table kinds;
        """
    )
    async with dial(api.secrets.service_role_key) as wire:
        await wire.join({"event": "*", "schema": "public", "table": "kinds"})
        expected = await owner.fetchval(
            """
            with new as (insert into kinds values (
                default, -1, 9223372036854775807, 1.50, 1e-7, true, e'q"\\\\\\n\\u00e9\\U0001F600',
                '2026-01-02 03:04:05.678000',
                '2026-01-02 03:04:05+02', '2026-01-02', '{"b": [1, {"a": null}]}', '{"x": "y"}', '{1,NULL,3}',
                array['a,b', 'c"d', 'NULL', null, '', 'x\\y', '{z}'], '{{1,2},{3,4}}', 'so so', '{ok,"so so"}',
                (1, 'x "y", (z)'), array[(1, null)::pair, (2, 'b')::pair], 'abc', '1 day 02:00', '10.0.0.1/8', '[1,5)',
                '10:11:12', 'xy', '{"2026-01-02 03:04:05+00"}'
            ) returning *) select to_jsonb(new)::text from new
            """
        )
        assert (await wire.change())["record"] == orjson.loads(expected)


async def test_a_thousand_rows_of_one_transaction_arrive_in_order(
    api: Any, dial: Dial, owner: asyncpg.Connection
) -> None:
    async with dial() as visitor, dial(api.secrets.service_role_key) as service:
        await visitor.join(TODOS)
        await service.join(TODOS)
        await owner.execute("insert into todos (id) select generate_series(1, 1000)")
        for wire in (visitor, service):
            assert [(await wire.change())["record"]["id"] for _ in range(1000)] == list(range(1, 1001))


async def test_a_reader_that_stops_is_closed_and_nobody_else_waits(
    dial: Dial, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minibase.realtime.socket.MAX_WAITING_BYTES", 1_000_000)
    monkeypatch.setattr("minibase.realtime.socket.CLOSE_SECONDS", 0.1)
    async with dial() as stopped, dial() as reading:
        await stopped.join(TODOS)
        await reading.join(TODOS)
        for _ in range(20):  # the system's own buffers take about half of this
            await owner.execute("insert into todos (title) select repeat('x', 10000) from generate_series(1, 80)")
            for _ in range(80):
                await reading.change()
        await asyncio.wait_for(stopped.drained(), PATIENCE)
        assert 0 < len(stopped.got) < 1600
