"""``bench control``: from a plain UPDATE at a SQL prompt to what the daemon does about it, play and stop.

One fresh stack a try: played, and, once the model has been asked for a while, stopped. The model never answers that
stack, so its call ends only by being cancelled, and the model itself notes when.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio
import asyncpg

from orchestrator.bench.agents import bench_agents
from orchestrator.bench.cut import cut_realtime
from orchestrator.bench.model import LINE
from orchestrator.bench.summary import summary
from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.facts import Fact, RunBegun, SignalsDown, SignalsUp
from orchestrator.llm.values import Fault, ProviderError, Reply, Request, Tier

BUSY_LATENCY = (1.0, 3.0)
# Between the model being asked and the stop: anywhere in a heartbeat's round.
THINKING = (0.1, 2.1)
# Before a play: after the beat that follows the stop before it, and anywhere in the rest of the daemon's round.
RESTING_S = 0.5
START_LIMIT_S = 180.0
STEP_LIMIT_S = 60.0
ENDLESS = 1_000_000

SEED = """
with made as (
  insert into public.agent_stacks (participant_name)
  select $1 || ' ' || n from generate_series(1, $2::integer) n returning id
), listed as (
  insert into public.todos (stack_id, content, priority)
  select id, 'Seeded ' || n, 2 from made, generate_series(1, 10) n
)
select id from made
"""
PLAY = "update public.agent_stacks set execution_state = 'running' where id = $1 returning clock_timestamp()"
PLAY_ALL = "update public.agent_stacks set execution_state = 'running' where id = any($1)"
STOP = "update public.agent_stacks set execution_state = 'stopped' where id = $1"
FIRST_RUN = "select min(started_at) from public.agent_executions where stack_id = $1"
DELETE = "delete from public.agent_stacks where id = any($1)"


@dataclass(slots=True, kw_only=True)
class _Call:
    """The model call of a try's stack; moments on the event loop's clock."""

    asked: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    asked_at: float = 0.0
    cancelled_at: float = 0.0


class PatientModel:
    """Answers everybody within a few seconds, and a stack on trial never."""

    name = "patient"
    simulated = True
    timeout_s = 120.0

    def __init__(self) -> None:
        self._trials: dict[str, _Call] = {}

    def on_trial(self, stack: UUID) -> _Call:
        """Keep the next call of this stack waiting; returns what happens to it."""
        self._trials[str(stack)] = call = _Call()
        return call

    def model(self, tier: Tier, role: str) -> str:
        return "patient-v1"

    async def complete(self, request: Request) -> Reply:
        call = next((call for id_, call in self._trials.items() if id_ in request.turns[-1].content), None)
        if call is None:
            await anyio.sleep(random.uniform(*BUSY_LATENCY))
            return Reply(text=f'{{"line": "{LINE}"}}', finish_reason="stop", tokens_in=500, tokens_out=50)
        call.asked_at = anyio.current_time()
        call.asked.set()
        try:
            await anyio.sleep(self.timeout_s)
        finally:
            call.cancelled_at = anyio.current_time()
            call.ended.set()
        raise ProviderError(Fault.AWAY, "nobody stopped this call")


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Waits for the daemon to listen (or to know that it cannot), and for the other stacks to be at work."""

    signals: bool
    busy: set[str]
    settled: anyio.Event = field(default_factory=anyio.Event)
    at_work: anyio.Event = field(default_factory=anyio.Event)

    def observe(self, fact: Fact) -> None:
        match fact:
            case SignalsUp() if self.signals:
                self.settled.set()
            case SignalsDown() if not self.signals:
                self.settled.set()
            case RunBegun():
                self.busy.discard(fact.stack)
            case _:
                pass
        if not self.busy:
            self.at_work.set()


async def bench_control(config: Config, *, db_url: str, tries: int, busy: int, signals: bool) -> dict[str, Any]:
    """Play and stop ``tries`` fresh stacks while ``busy`` others work; what was made is deleted afterwards.

    Milliseconds as p50, p95, max and n. ``play_to_run_ms`` is the run's ``started_at`` less the UPDATE's
    ``clock_timestamp()``, both by the database; ``play_to_model_ms`` and ``stop_to_cancel_ms`` run from just before
    the UPDATE is sent to the moment the model was asked or its call cancelled, on this process's clock.
    Raises StoreError, OSError or asyncpg.PostgresError for a database that cannot be used, ValueError where realtime
    cannot be cut off, and TimeoutError where the daemon does not move at all.
    """
    async with _sql_prompt(db_url) as database, AsyncExitStack() as stack:
        trials, others = await _seed(database, "Control", tries), await _seed(database, "Busy", busy)
        stack.push_async_callback(_delete, database, [*trials, *others])
        url = config.supabase_url if signals else await stack.enter_async_context(cut_realtime(config.supabase_url))
        config = config.model_copy(update={"supabase_url": url, "slots": max(config.slots, busy + 1)})
        model, watch = PatientModel(), _Watch(signals=signals, busy={str(id_) for id_ in others})

        async def daemon() -> None:
            agents = bench_agents(rounds=ENDLESS, parallel=False)
            await run_daemon(config, observer=watch.observe, agents=agents, providers=[model])

        async with anyio.create_task_group() as group:
            group.start_soon(daemon)
            with anyio.fail_after(START_LIMIT_S):
                await watch.settled.wait()
                await database.execute(PLAY_ALL, others)
                if others:
                    await watch.at_work.wait()
            longest = THINKING[1] if signals else config.cadence_s
            samples = []
            for id_ in trials:
                await anyio.sleep(random.uniform(RESTING_S, RESTING_S + longest))
                samples.append(await _try_once(database, model, id_))
            group.cancel_scope.cancel()
    names = ("play_to_run_ms", "play_to_model_ms", "stop_to_cancel_ms")
    found = {name: summary([sample[place] for sample in samples]) for place, name in enumerate(names)}
    return {**found, "tries": tries, "busy": busy, "signals": signals, "heartbeat_s": config.heartbeat_s}


async def _try_once(database: asyncpg.Connection, model: PatientModel, stack: UUID) -> tuple[float, float, float]:
    """Milliseconds from the play to the first run and to its model call, and from the stop to that call's end."""
    call = model.on_trial(stack)
    with anyio.fail_after(STEP_LIMIT_S):
        sent = anyio.current_time()
        played: datetime = await database.fetchval(PLAY, stack)
        await call.asked.wait()
    started: datetime = await database.fetchval(FIRST_RUN, stack)
    await anyio.sleep(random.uniform(*THINKING))
    with anyio.fail_after(STEP_LIMIT_S):
        stopped = anyio.current_time()
        await database.execute(STOP, stack)
        await call.ended.wait()
    return (
        (started - played).total_seconds() * 1_000,
        (call.asked_at - sent) * 1_000,
        (call.cancelled_at - stopped) * 1_000,
    )


@asynccontextmanager
async def _sql_prompt(db_url: str) -> AsyncIterator[asyncpg.Connection]:
    database = await asyncpg.connect(db_url)
    try:
        yield database
    finally:
        await database.close()


async def _seed(database: asyncpg.Connection, name: str, count: int) -> list[UUID]:
    return [UUID(str(row["id"])) for row in await database.fetch(SEED, name, count)]


async def _delete(database: asyncpg.Connection, stacks: Sequence[UUID]) -> None:
    with anyio.CancelScope(shield=True):
        await database.execute(DELETE, stacks)
