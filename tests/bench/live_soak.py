"""Realtime for twenty minutes: many subscribers that come and go, new tokens, changes all the while; what it keeps."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from live import SCHEMA, Place
from memory import rss_mb
from project_folder import Folder
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LOOK_EVERY_S = 10.0
LOOKS_SAID = 6  # every so many looks a line
STAYS_S = (5.0, 120.0)
NEW_TOKEN_S = (10.0, 30.0)
BEAT_S = 25  # as the official clients
TOPIC = "realtime:soak"
BINDING = {"event": "INSERT", "schema": "public", "table": "bench_guarded"}
KEPT = """
select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::float8 / 1048576 from pg_replication_slots
"""
PERSONS = 20
BODY = "x" * 200
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Tally:
    """What happened so far: `missed` are numbers that a joined socket did not hear between two that it did."""

    counts: Counter[str] = field(default_factory=Counter)
    memory_mb: list[float] = field(default_factory=list)
    slot_mb: list[float] = field(default_factory=list)


async def run_live_soak(*, minutes: float, subscribers: int, per_second: float, say: Say) -> dict[str, Any]:
    """Let it run on a throw-away minibase; memory and what the slot keeps are looked at every ten seconds."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="soak-realtime-") as parent:
        folder = Folder(Path(parent) / "project")
        try:
            folder.start()
            place = Place(values=folder.values())
            server = json.loads((folder.state / "runtime.json").read_text())["pid"]
            database = await asyncpg.connect(place.values["DB_ADMIN_URL"], ssl=False)
            await database.execute(SCHEMA)
            busy = [asyncio.create_task(_stay(place, number, tally)) for number in range(subscribers)]
            busy.append(asyncio.create_task(_write(place, per_second, tally)))
            await _look_on(database, server, tally, minutes, say)
            for task in busy:
                task.cancel()
            ends = await asyncio.gather(*busy, return_exceptions=True)
            await database.close()
        finally:
            folder.remove()
    broken = [repr(end) for end in ends if not isinstance(end, asyncio.CancelledError)]
    return {"minutes": minutes, "subscribers": subscribers, "per_second": per_second, **_found(tally), "broken": broken}


async def _write(place: Place, per_second: float, tally: Tally) -> None:
    """Numbered rows, one after the other."""
    database = await asyncpg.connect(place.values["DB_URL"], ssl=False)
    begin = time.monotonic()
    while True:
        await asyncio.sleep(max(0.0, begin + tally.counts["written"] / per_second - time.monotonic()))
        await database.execute("insert into bench_guarded (n, body) values ($1, $2)", tally.counts["written"], BODY)
        tally.counts["written"] += 1


async def _stay(place: Place, number: int, tally: Tally) -> None:
    """One subscriber: joined for a while, then gone without a word, then there again."""
    rng = random.Random(number)
    while True:
        try:
            async with asyncio.timeout(rng.uniform(*STAYS_S)):
                await _listen(place, number % PERSONS, rng, tally)
        except TimeoutError:
            tally.counts["left"] += 1
        except (ConnectionClosed, OSError) as error:
            tally.counts[f"lost: {type(error).__name__}"] += 1


async def _listen(place: Place, person: int, rng: random.Random, tally: Tally) -> None:
    url = place.values["API_URL"].replace("http", "ws") + "/realtime/v1/websocket?vsn=2.0.0&apikey="
    async with connect(url + place.values["ANON_KEY"], compression=None, close_timeout=1) as connection:
        config = {"postgres_changes": [BINDING]}
        await _say(connection, "phx_join", {"config": config, "access_token": place.token(person)})
        next_token = time.monotonic() + rng.uniform(*NEW_TOKEN_S)
        next_beat = time.monotonic() + BEAT_S
        heard: int | None = None
        async for frame in connection:
            if b'"postgres_changes",{"ids"' in frame.encode():
                n = json.loads(frame)[4]["data"]["record"]["n"]
                tally.counts["heard"] += 1
                if heard is not None:
                    tally.counts["missed"] += max(0, n - heard - 1)
                    tally.counts["out_of_order"] += n <= heard
                heard = n
            elif '"phx_close"' in frame or '"status":"error"' in frame:
                tally.counts[f"refused: {frame[:120]}"] += 1
            if time.monotonic() > next_beat:
                await connection.send('["1","2","phoenix","heartbeat",{}]')
                next_beat = time.monotonic() + BEAT_S
            if time.monotonic() > next_token:
                await _say(connection, "access_token", {"access_token": place.token(person)})
                tally.counts["new_tokens"] += 1
                next_token = time.monotonic() + rng.uniform(*NEW_TOKEN_S)


async def _say(connection: ClientConnection, event: str, payload: dict[str, Any]) -> None:
    await connection.send(json.dumps(["1", "1", TOPIC, event, payload]))


async def _look_on(database: Any, server: int, tally: Tally, minutes: float, say: Say) -> None:
    ends = time.monotonic() + minutes * 60
    while time.monotonic() < ends:
        await asyncio.sleep(LOOK_EVERY_S)
        tally.memory_mb.append(rss_mb(server) or 0.0)
        tally.slot_mb.append(round(await database.fetchval(KEPT), 1))
        if len(tally.memory_mb) % LOOKS_SAID == 0:
            say(f"{tally.memory_mb[-1]} MB, the slot keeps {tally.slot_mb[-1]} MB, {dict(tally.counts)}")


def _found(tally: Tally) -> dict[str, Any]:
    """Memory over the run in quarters: flat is when the last is no more than the second, the first is warming up."""
    quarter = max(1, len(tally.memory_mb) // 4)
    quarters = [tally.memory_mb[start : start + quarter] for start in range(0, 4 * quarter, quarter)]
    return {
        **tally.counts,
        "memory_mb_by_quarter": [max(each) for each in quarters if each],
        "slot_mb_peak": max(tally.slot_mb, default=0.0),
    }
