"""Random histories with the stream cut in the middle: a live query holds what a plain SELECT as that user gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from orchestrator.hearing import Ears, hear
from orchestrator.live_query import Fetched, LiveQuery, Source
from tests.integration.minibase.realtime.conftest import ADA, BOB, PATIENCE, user_token

ROWS = Source(table="followed", columns=("id", "n", "updated_at"))
TABLE = """
create table followed (
    id int primary key, n int not null, owner uuid not null, updated_at timestamptz not null default clock_timestamp()
);
alter table followed enable row level security;
create policy own on followed for select to authenticated using (owner = (select auth.uid()));
alter publication supabase_realtime add table followed;
"""
CUT = "select pg_terminate_backend(pid) from pg_stat_replication where application_name = 'minibase realtime'"


class Follower:
    """Ada's live query over the official client, which is given up and built anew whenever it ends."""

    def __init__(self, api: Any) -> None:
        self.query = LiveQuery([ROWS])
        self._api = api
        self._token = user_token(api, ADA)
        self._due = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._fetch_what_is_due())

    async def select(self, since: datetime | None = None) -> list[dict[str, Any]]:
        wanted = {"select": ",".join(ROWS.columns), "order": "id"}
        wanted |= {} if since is None else {"updated_at": f"gte.{since.isoformat()}"}
        headers = {"apikey": self._api.secrets.publishable_key, "authorization": f"Bearer {self._token}"}
        answer = await self._api.http.get("/rest/v1/followed", params=wanted, headers=headers)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    async def _listen(self) -> None:
        while True:
            ears = Ears(
                topic="followed", tables=("followed",), heard=self._heard, joined=self._joined, stands=self._stands
            )
            await hear(self._api.url, self._token, ears)
            self.query.lost()
            await asyncio.sleep(0.05)

    async def _fetch_what_is_due(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            since: Mapping[str, datetime | None] = self.query.ask()
            changed, everything = await self.select(since["followed"]), await self.select()
            alive = frozenset(row["id"] for row in everything)
            self.query.answer({"followed": Fetched(rows=changed, alive=alive)})

    def _heard(self, payload: Any) -> None:
        change = self.query.read(payload)
        if change is not None:
            self.query.hear(change)

    def _joined(self) -> None:
        self.query.joined()
        self._due.set()

    def _stands(self) -> None:
        self.query.stands()
        self._due.set()


async def write_something(owner: asyncpg.Connection, rng: random.Random) -> None:
    """A row's owner never changes: what is seen of it does not change either."""
    key = rng.randrange(40)
    if rng.random() < 0.25:
        await owner.execute("delete from followed where id = $1", key)
        return
    await owner.execute(
        "insert into followed (id, n, owner) values ($1, $2, $3) "
        "on conflict (id) do update set n = excluded.n, updated_at = clock_timestamp()",
        key,
        rng.randrange(1000),
        ADA if key % 2 else BOB,
    )


# The client itself uses what its websocket library calls deprecated, just where its connection breaks.
@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
@pytest.mark.parametrize(
    "seed", [1, 2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
async def test_it_holds_what_a_select_gives(
    api: Any, owner: asyncpg.Connection, admin: asyncpg.Connection, seed: int
) -> None:
    await owner.execute(TABLE)
    rng, follower = random.Random(seed), Follower(api)
    following = asyncio.create_task(follower.run())
    try:
        for number in range(600):
            await write_something(owner, rng)
            if number % 150 == 100:
                await admin.execute(CUT)
            if number % 20 == 0:
                await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE):
            while True:
                wanted = {row["id"]: row for row in await follower.select()}
                if follower.query.rows("followed") == wanted:
                    break
                await asyncio.sleep(0.05)
        assert wanted
        assert follower.query.rejoins > 0
        assert follower.query.recovered > 0
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
