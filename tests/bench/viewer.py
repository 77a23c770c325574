"""How many realtime messages one viewer gets in an hour, and how many rows a stack makes meanwhile."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fleet import Fleet, make_stack
from growth import playing
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from rows import count_rows

from orchestrator.cli.target import Target

# What the dashboard's fleet page follows, and what its page of one stack follows of that stack: (table, event).
FLEET_PAGE = (
    ("agent_stacks", "*"),
    ("stack_status", "*"),
    ("project_ideas", "*"),
    ("agent_traces", "INSERT"),
    ("artifacts", "INSERT"),
)
STACK_PAGE = (
    *((table, "*") for table, _ in FLEET_PAGE),
    ("todos", "*"),
    ("user_messages", "*"),
    ("messages", "*"),
)
AGENTS = {"idle": "real", "demo": "real", "cadence": "cadence"}
JOIN_S = 10.0
SETTLED_S = 2.0


async def measure_viewer(*, work: str, stacks: int, minutes: float) -> dict[str, Any]:
    """Watch stacks for some minutes on a throw-away minibase with a daemon at it.

    `work` is "idle" (nobody plays them), "demo" (the four agents with the simulated model; as projects complete, others
    take their place) or "cadence" (four agents in order every 10 s, for ever).
    """
    async with playing(AGENTS[work]) as (target, pool, runs):
        fleet = Fleet(pool, stacks)
        if work == "idle":
            for number in range(stacks):
                await make_stack(pool, f"Idle {number}", number=number)
        else:
            await fleet.warm_up()
        fleet.playing.clear()
        async with _following(target, FLEET_PAGE) as of_fleet, _following(target, STACK_PAGE) as of_stacks:
            await anyio.sleep(SETTLED_S)
            of_fleet.clear()
            of_stacks.clear()
            rows, ran = await count_rows(pool), len(runs)
            async with anyio.create_task_group() as group:
                if work != "idle":
                    group.start_soon(fleet.keep_playing)
                await anyio.sleep(minutes * 60)
                group.cancel_scope.cancel()
            made = {name: count - rows[name] for name, count in (await count_rows(pool)).items()}
            ran = len(runs) - ran
            seen, seen_of_stacks = Counter(of_fleet), Counter(of_stacks)
    hours = minutes / 60
    stack_hours = (statistics.mean(fleet.playing) if fleet.playing else stacks) * hours
    return {
        "work": work,
        "stacks": stacks,
        "minutes": minutes,
        "runs_per_stack_hour": round(ran / stack_hours),
        "rows_per_stack_hour": round(sum(made.values()) / stack_hours),
        "fleet_page_per_stack_hour": round(seen.total() / stack_hours),
        "stack_page_per_stack_hour": round(seen_of_stacks.total() / stack_hours),
        "by_table": {name: round(count / stack_hours) for name, count in sorted(seen_of_stacks.items())},
    }


@asynccontextmanager
async def _following(target: Target, bindings: Iterable[tuple[str, str]]) -> AsyncIterator[list[str]]:
    """The tables of the changes that arrive, as they arrive, on one channel of an anonymous visitor."""
    heard: list[str] = []
    client = AsyncRealtimeClient(f"{target.url}/realtime/v1", token=target.publishable_key)
    await client.connect()
    channel = client.channel("viewer")
    for table, event in bindings:
        channel.on_postgres_changes(
            event,  # type: ignore[arg-type]  # the client takes the words, too
            lambda change: heard.append(change["data"]["table"]),
            table=table,
            schema="public",
        )
    joined = asyncio.Event()

    def note(state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state is RealtimeSubscribeStates.SUBSCRIBED:
            joined.set()

    await channel.subscribe(note)
    async with asyncio.timeout(JOIN_S):
        await joined.wait()
    try:
        yield heard
    finally:
        await client.close()
