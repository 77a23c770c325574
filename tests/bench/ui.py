"""Trigger to screen: a play and a visitor's question, while a whole fleet plays beside them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import asyncpg
from fleet import Fleet, first_run, make_stack, move
from page import open_browser, open_page, watch
from playwright.async_api import Browser, Page
from processes import Stack, make_workdir, running_stack
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from orchestrator.bench.summary import summary
from orchestrator.cli.embedded import discard_data

PUSHES = 100
PUSH_EVERY_S = 0.1
Samples = dict[str, list[float]]


async def measure_ui(*, stacks: int, delay: str, triggers: int) -> dict[str, Any]:
    """Measure on an `up` of its own; milliseconds by name, and how many stacks really played meanwhile."""
    with tempfile.TemporaryDirectory(prefix="stackbeat-bench-ui-") as folder:
        workdir = make_workdir(Path(folder) / "project")
        (workdir / "supabase" / "seed.sql").write_text("")  # only the stacks of the measurement
        try:
            with running_stack(workdir, environment={"STACKBEAT_SIMULATED_LATENCY": delay}) as stack:
                return await _measure(stack, stacks, triggers)
        finally:
            discard_data(workdir)


async def _measure(stack: Stack, stacks: int, triggers: int) -> dict[str, Any]:
    samples: Samples = defaultdict(list)
    async with asyncpg.create_pool(stack.db_url, min_size=4, max_size=4) as pool, open_browser() as browser:
        fleet = Fleet(pool, stacks)
        page = await open_page(browser, f"{stack.url}/")
        await fleet.warm_up()
        keeping = asyncio.create_task(fleet.keep_playing())
        async with asyncio.TaskGroup() as group:
            group.create_task(_plays(pool, page, triggers, samples))
            group.create_task(_questions(fleet, browser, stack.url, triggers, samples))
            group.create_task(_pushes(pool, stack, samples))
        keeping.cancel()
    low, high = min(fleet.playing), max(fleet.playing)
    return {
        "stacks": stacks,
        "playing": f"{low}-{high}",
        "ms": {name: summary(values) for name, values in samples.items()},
    }


async def _plays(pool: asyncpg.Pool, page: Page, triggers: int, samples: Samples) -> None:
    """Play an idle stack in SQL and see its first trace; then pause it in SQL and see that."""
    for number in range(triggers):
        stack = await make_stack(pool, f"0 Trigger {number:03}", number=number)  # sorts before the fleet: in view
        row = f'[data-stack-id="{stack}"]'
        await page.locator(row).wait_for()
        running = await watch(page, f'{row} [data-testid="stack-state"][data-state="running"]')
        trace = await watch(page, f'{row} [data-testid="trace"] .thought')
        sent = time.time()
        await move(pool, stack, "running")
        samples["SQL play to state painted"].append((await running.painted() - sent) * 1000)
        painted = await trace.painted()
        run = await first_run(pool, stack)
        samples["play to first trace painted"].append((painted - sent) * 1000)
        samples["of which the model"].append(float(run["model_ms"]))
        samples["of which all the rest"].append((painted - sent) * 1000 - float(run["model_ms"]))
        samples["play to first run begun"].append((run["started_at"].timestamp() - sent) * 1000)
        samples["trace written to painted"].append((painted - run["created_at"].timestamp()) * 1000)
        paused = await watch(page, f'{row} [data-testid="stack-state"][data-state="paused"]')
        sent = time.time()
        await move(pool, stack, "paused")
        samples["SQL pause to state painted"].append((await paused.painted() - sent) * 1000)
        await pool.execute("delete from agent_stacks where id = $1", stack)


async def _questions(fleet: Fleet, browser: Browser, url: str, triggers: int, samples: Samples) -> None:
    """Ask a playing stack on its page as a visitor does, and see the answer there."""
    for number in range(triggers):
        page = await open_page(browser, f"{url}/stacks/{await fleet.one_at_work(number)}")
        text = f"What do you build, and why? ({number})"
        await page.get_by_test_id("chat-input").fill(text)
        answered = await watch(page, '[data-testid="chat-message"][data-status="answered"]', text)
        sent = time.time()
        await page.get_by_test_id("chat-send").click()
        samples["visitor's line to answer painted"].append((await answered.painted() - sent) * 1000)
        await page.context.close()


async def _pushes(pool: asyncpg.Pool, stack: Stack, samples: Samples) -> None:
    """Insert a row and hear of it through the official Python client, as anon."""
    watched = await make_stack(pool, "zz Push", number=0)
    arrivals: dict[str, float] = {}
    joined, heard = asyncio.Event(), asyncio.Event()

    def hear(payload: Any) -> None:
        arrivals[payload["data"]["record"]["thought"]] = time.time()
        heard.set()

    client = AsyncRealtimeClient(f"{stack.api_url}/realtime/v1", stack.publishable_key)
    channel = client.channel("bench")
    channel.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert,
        hear,
        table="agent_traces",
        schema="public",
        filter=f"stack_id=eq.{watched}",
    )
    await channel.subscribe(lambda *_: joined.set())
    await joined.wait()
    for number in range(PUSHES):
        heard.clear()
        sent = time.time()
        await pool.execute(
            "insert into agent_traces (stack_id, agent_type, thought, action) values ($1, 'planner', $2, 'bench')",
            watched,
            str(number),
        )
        async with asyncio.timeout(30):
            await heard.wait()
        samples["INSERT sent to subscriber"].append((arrivals[str(number)] - sent) * 1000)
        await asyncio.sleep(PUSH_EVERY_S)
    await client.close()
