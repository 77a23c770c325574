"""How many rows and bytes a playing stack leaves behind in an hour, by table."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import asyncpg
from fleet import Fleet
from processes import make_workdir
from rows import count_bytes, count_rows

from agents.agent import Agent
from orchestrator.bench.agents import bench_agents
from orchestrator.bench.model import CannedModel
from orchestrator.cli.embedded import discard_data, open_minibase
from orchestrator.cli.target import Target
from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.facts import Fact, RunCommitted
from orchestrator.llm.values import Provider
from orchestrator.registry import load_agents

LATENCY = (1.0, 3.0)
CADENCE = timedelta(seconds=10)
ENDLESS = 1_000_000


async def measure_growth(*, agents: str, stacks: int, minutes: float) -> dict[str, Any]:
    """Let `stacks` stacks play for some minutes on a throw-away minibase; what grew per stack-hour.

    `agents` is "real", the four of a stack with the simulated model, or "bench", four that never rest.
    """
    async with playing(agents) as (_, pool, runs):
        fleet = Fleet(pool, stacks)
        await fleet.warm_up()
        fleet.playing.clear()
        before, runs_before = (await count_rows(pool), await count_bytes(pool)), len(runs)
        async with anyio.create_task_group() as group:
            group.start_soon(fleet.keep_playing)
            await anyio.sleep(minutes * 60)
            group.cancel_scope.cancel()
        after, runs_after = (await count_rows(pool), await count_bytes(pool)), len(runs)
    stack_hours = statistics.mean(fleet.playing) * minutes / 60
    rows, sizes = ({name: new[name] - old[name] for name in new} for old, new in zip(before, after, strict=True))
    return {
        "agents": agents,
        "stacks": stacks,
        "minutes": minutes,
        "stack_hours": round(stack_hours, 2),
        "runs_per_stack_hour": round((runs_after - runs_before) / stack_hours, 1),
        "tables": [_table(name, rows[name], sizes[name], stack_hours) for name in rows if rows[name] or sizes[name]],
        "total_mb_per_stack_hour": round(sum(sizes.values()) / stack_hours / 1e6, 3),
    }


def _table(name: str, rows: int, size: int, stack_hours: float) -> dict[str, Any]:
    return {
        "table": name,
        "rows_per_stack_hour": round(rows / stack_hours, 1),
        "kb_per_stack_hour": round(size / stack_hours / 1e3, 1),
        "rows_per_stack_day": round(rows / stack_hours * 24),
        "mb_per_stack_day": round(size / stack_hours * 24 / 1e6, 2),
        "bytes_per_row": round(size / rows) if rows else None,
    }


@asynccontextmanager
async def playing(agents: str) -> AsyncIterator[tuple[Target, asyncpg.Pool, list[str]]]:
    """A database with a daemon at it, and the runs it has committed so far.

    `agents` is "real", "bench", or "cadence": the bench's four, whose next round begins 10 s after the last one did.
    """
    runs: list[str] = []

    def observe(fact: Fact) -> None:
        if isinstance(fact, RunCommitted):
            runs.append(fact.run)

    with tempfile.TemporaryDirectory(prefix="stackbeat-growth-") as folder:
        workdir = make_workdir(Path(folder) / "project")
        (workdir / "supabase" / "seed.sql").write_text("")  # only the stacks of the measurement
        try:
            async with (
                open_minibase(workdir, api_port="auto", db_port="auto", say=lambda _: None) as base,
                asyncpg.create_pool(base.target.db_url, min_size=1, max_size=4) as pool,
                anyio.create_task_group() as group,
            ):
                target = {"supabase_url": base.target.url, "service_key": base.target.service_key}
                low, high = LATENCY
                config = Config.build({**target, "models": {"simulated": {"latency": f"{low:g}-{high:g}"}}})

                async def daemon() -> None:
                    crew, models = _crew(agents)
                    await run_daemon(config, observer=observe, agents=crew, providers=models)

                group.start_soon(daemon)
                yield base.target, pool, runs
                group.cancel_scope.cancel()
        finally:
            discard_data(workdir)


def _crew(agents: str) -> tuple[Mapping[str, Agent], list[Provider] | None]:
    """The agents, and the models that take the configured ones' place."""
    if agents == "real":
        return load_agents(), None
    every = CADENCE if agents == "cadence" else None
    return bench_agents(rounds=ENDLESS, parallel=False, every=every), [CannedModel(low=LATENCY[0], high=LATENCY[1])]
