"""``bench beat``: N stacks x 4 agents through the daemon's real path; one dictionary of figures comes back."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
from postgrest.types import ReturnMethod
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from orchestrator.bench.agents import NAMES, TODOS, bench_agents
from orchestrator.bench.meter import Reading, open_meter, peak_rss_mb
from orchestrator.bench.model import MODEL_NAME, NAME, CannedModel, bench_model
from orchestrator.bench.plain import open_pool, play_plain
from orchestrator.bench.summary import percentile
from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.facts import BatchSent, BeatDone, Fact, RunCommitted, SignalsUp
from orchestrator.relay import CAUSE

MESSAGES = 10
ENDLESS = 1_000_000
CHUNK = 500
PART = 100  # ids in one address line
LIMIT_S = 900.0
# Quota and budget are on and never in the way: a limit and a budget that nobody reaches cost what any other does.
PLENTY: dict[str, Any] = {
    "provider": NAME,
    "model": MODEL_NAME,
    "requests_per_minute": 1_000_000_000,
    "tokens_per_minute": 2_000_000_000,
}
BUDGETS: list[Any] = [{"agent_type": name, "per": "day", "usd": 1_000, "tokens": 10**12} for name in NAMES]
PAIRS = 5  # of ours and plain, in turns, so that a noisy minute meets both


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What the daemons report while they run."""

    wanted: int | None
    runs: int = 0
    wrong: int = 0
    calls: int = 0
    lags_ms: list[float] = field(default_factory=list)
    first_claim_ms: float | None = None
    commits: list[tuple[float, float]] = field(default_factory=list)
    ready: int = 0
    done: anyio.Event = field(default_factory=anyio.Event)
    listening: anyio.Event = field(default_factory=anyio.Event)
    daemons: int = 1

    def observe(self, fact: Fact) -> None:
        match fact:
            case RunCommitted():
                self.runs += fact.verdict == "done" and fact.status == "completed"
                self.wrong += not (fact.verdict == "done" and fact.status == "completed")
                if self.wanted is not None and self.runs >= self.wanted:
                    self.done.set()
            case BatchSent():
                self.calls += 1
                if fact.verb == "commit_runs":
                    now = anyio.current_time()
                    self.commits.append((now - fact.took_ms / 1_000, now))
            case BeatDone():
                self.calls += fact.cause != CAUSE  # which was counted as a commit
                if self.first_claim_ms is None:
                    self.first_claim_ms = fact.took_ms
                self.lags_ms.append(fact.lag_ms)
            case SignalsUp():
                self.ready += 1
                if self.ready >= self.daemons:
                    self.listening.set()
            case _:
                pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is played: how many stacks, how slow the model (seconds, drawn between two bounds), how often, by whom.

    With ``minutes`` it goes on for so long, each stack's rounds due a cadence (the configuration's) apart.
    """

    stacks: int
    latency: tuple[float, float] = (0.0, 0.0)
    cycles: int = 1
    daemons: int = 1
    parallel: bool = False
    wire: bool = False
    minutes: float | None = None

    @property
    def runs(self) -> int:
        return self.stacks * len(NAMES) * self.cycles

    @property
    def ideal_s(self) -> float:
        stages = self.cycles * (1 if self.parallel else len(NAMES))
        return stages * sum(self.latency) / 2

    def as_values(self) -> dict[str, Any]:
        return {
            "stacks": self.stacks,
            "latency": f"{self.latency[0]:g}-{self.latency[1]:g}",
            "cycles": self.cycles,
            "daemons": self.daemons,
            "parallel": self.parallel,
            "wire": self.wire,
            "minutes": self.minutes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where it is measured. Figures of the database and the server are None without their addresses."""

    config: Config
    db_url: str | None = None
    db_admin_url: str | None = None
    server_pid: int | None = None


async def bench_beat(ground: Ground, shape: Shape) -> dict[str, Any]:
    """Play fresh stacks until each agent ran ``cycles`` times; the stacks are deleted afterwards.

    The clock runs from the UPDATE that plays them to the last verdict. Raises StoreError, and TimeoutError after
    fifteen minutes.
    """
    tally = _Tally(wanted=shape.runs if shape.minutes is None else None, daemons=shape.daemons)
    every = None if shape.minutes is None else timedelta(seconds=ground.config.cadence_s)
    config = ground.config.model_copy(update={"slots": max(1, -(-shape.stacks // shape.daemons))})
    async with (
        _seeded(ground, shape.stacks) as (client, ids),
        open_meter(ground.db_admin_url, ground.server_pid) as meter,
        bench_model(*shape.latency, wire=shape.wire) as model,
        anyio.create_task_group() as group,
    ):

        async def daemon() -> None:
            rounds = ENDLESS if every else shape.cycles
            agents = bench_agents(rounds=rounds, parallel=shape.parallel, every=every)
            await run_daemon(config, observer=tally.observe, agents=agents, providers=[model])

        for _ in range(shape.daemons):
            group.start_soon(daemon)
        with anyio.fail_after(LIMIT_S):
            await tally.listening.wait()
        before, started = await meter.read(), anyio.current_time()
        await _play(client, ids)
        if shape.minutes is None:
            with anyio.fail_after(LIMIT_S):
                await tally.done.wait()
        else:
            await anyio.sleep(shape.minutes * 60)
        wall_s, after = anyio.current_time() - started, await meter.read()
        kept = {} if every is None else await _kept_pace(client, ids, wall_s / every.total_seconds())
        group.cancel_scope.cancel()
    spent = _spent(before, after, runs=tally.runs, wall_s=wall_s, ideal_s=shape.ideal_s if every is None else wall_s)
    return spent | _noted(tally) | kept


async def bench_plain(ground: Ground, shape: Shape) -> dict[str, Any]:
    """The same job by the driver alone, on the same database; the same figures as far as there are any."""
    assert ground.db_url is not None
    async with (
        _seeded(ground, shape.stacks) as (_, ids),
        open_meter(ground.db_admin_url, None) as meter,
        open_pool(ground.db_url) as pool,
    ):
        model = CannedModel(low=shape.latency[0], high=shape.latency[1])
        before, started = await meter.read(), anyio.current_time()
        await play_plain(pool, ids, model, cycles=shape.cycles, parallel=shape.parallel)
        wall_s, after = anyio.current_time() - started, await meter.read()
    found = _spent(before, after, runs=shape.runs, wall_s=wall_s, ideal_s=shape.ideal_s)
    if found["statements_per_run"] is not None:  # the meter leaves out BEGIN and COMMIT; four statements share them
        found["transactions_per_run"] = round(found["statements_per_run"] - 3, 3)
        found["statements_per_run"] = round(found["statements_per_run"] + 2, 3)
    return found


async def compare_plain(ground: Ground, shape: Shape) -> dict[str, Any]:
    """Ours and plain in turns; medians of five, with plain's and the ratios beside ours."""
    ours, plain = [], []
    for _ in range(PAIRS):
        ours.append(await bench_beat(ground, shape))
        plain.append(await bench_plain(ground, shape))
    middle, yardstick = medians(ours), medians(plain)
    return middle | {"plain": yardstick, "ratio": ratios(middle, yardstick)}


def medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of each figure; None where one round has none."""
    found: dict[str, Any] = {}
    for name in rounds[0]:
        values = [figures[name] for figures in rounds]
        found[name] = None if None in values else round(statistics.median(values), 4)
    return found


def ratios(ours: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, float | None]:
    """Ours over plain, for what both sides have and a smaller figure is the better one."""
    names = ("wall_s", "db_cpu_ms_per_run", "client_cpu_ms_per_run", "statements_per_run", "wal_kb_per_run")
    return {name: round(ours[name] / plain[name], 3) if ours[name] and plain[name] else None for name in names}


def _spent(before: Reading, after: Reading, *, runs: int, wall_s: float, ideal_s: float) -> dict[str, Any]:
    def per_run(name: str, scale: float = 1.0) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        return None if first is None or last is None else round((last - first) * scale / runs, 3)

    return {
        "wall_s": round(wall_s, 4),
        "ideal_s": round(ideal_s, 4),
        "overhead_s": round(wall_s - ideal_s, 4),
        "runs": runs,
        "runs_per_s": round(runs / wall_s, 1),
        "statements_per_run": per_run("statements"),
        "transactions_per_run": per_run("transactions"),
        "wal_kb_per_run": per_run("wal_bytes", 1 / 1024),
        "client_cpu_ms_per_run": per_run("client_cpu_s", 1_000),
        "server_cpu_ms_per_run": per_run("server_cpu_s", 1_000),
        "db_cpu_ms_per_run": per_run("db_cpu_s", 1_000),
        "peak_rss_mb": peak_rss_mb(),
    }


async def _kept_pace(client: AsyncClient, ids: Sequence[UUID], rounds: float) -> dict[str, Any]:
    """How many rounds came due, how many the slowest and the middle stack made, and whole cadences missed by all."""
    states: list[Any] = []
    schedules: list[Any] = []
    for start in range(0, len(ids), PART):
        part = [str(id_) for id_ in ids[start : start + PART]]
        memory = client.table("agent_states").select("memory").in_("stack_id", part).eq("agent_type", NAMES[-1])
        states += (await memory.execute()).data
        schedules += (await client.table("stack_schedule").select("overruns").in_("stack_id", part).execute()).data
    made = [row["memory"].get("rounds", 0) for row in states] or [0]
    overruns = sum(row["overruns"] for row in schedules)
    return {
        "rounds_due": round(rounds, 1),
        "rounds_made_least": min(made),
        "rounds_made_median": statistics.median(made),
        "overruns": overruns,
    }


def _noted(tally: _Tally) -> dict[str, Any]:
    lags = tally.lags_ms or [0.0]
    return {
        "failed_runs": tally.wrong,
        "calls_per_run": round(tally.calls / tally.runs, 3),
        "claim_ms": None if tally.first_claim_ms is None else round(tally.first_claim_ms, 1),
        "commit_ms": round(covered(tally.commits) * 1_000, 1),
        "beat_lag_p50_ms": round(percentile(lags, 0.5), 1),
        "beat_lag_p95_ms": round(percentile(lags, 0.95), 1),
        "beat_lag_max_ms": round(max(lags), 1),
    }


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of these spans (start, end) lasted: calls that overlap count once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


@asynccontextmanager
async def _seeded(ground: Ground, stacks: int) -> AsyncIterator[tuple[AsyncClient, list[UUID]]]:
    """Fresh idle stacks for the length of the block, and a client that may play them."""
    options = AsyncClientOptions(auto_refresh_token=False, persist_session=False)
    client = await acreate_client(ground.config.supabase_url, ground.config.service_key.get_secret_value(), options)
    ids = await _seed(client, stacks)
    await client.table("model_limits").upsert(PLENTY).execute()
    await client.table("budgets").upsert(BUDGETS, on_conflict="stack_id,agent_type,per").execute()
    try:
        yield client, ids
    finally:
        with anyio.CancelScope(shield=True):
            await _delete(client, ids)
            await client.table("budgets").delete().in_("agent_type", NAMES).execute()
            await client.table("model_limits").delete().eq("provider", PLENTY["provider"]).execute()
            await client.postgrest.aclose()


async def _seed(client: AsyncClient, stacks: int) -> list[UUID]:
    """Idle stacks with ten todos each, and ten messages everybody reads."""
    ids = [uuid4() for _ in range(stacks)]
    await _insert(
        client, "agent_stacks", [{"id": str(id_), "participant_name": f"Bench {n}"} for n, id_ in enumerate(ids)]
    )
    todos = [{"stack_id": str(id_), "content": f"Seeded {n}", "priority": 2} for id_ in ids for n in range(TODOS)]
    await _insert(client, "todos", todos)
    sender = str(ids[0])
    message = {"from_stack_id": sender, "message_type": "broadcast", "from_agent_type": NAMES[0]}
    await _insert(client, "messages", [{**message, "content": f"Seeded {n}"} for n in range(MESSAGES)])
    return ids


async def _insert(client: AsyncClient, table: str, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), CHUNK):
        await client.table(table).insert(list(rows[start : start + CHUNK])).execute()


async def _play(client: AsyncClient, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), PART):
        part = [str(id_) for id_ in ids[start : start + PART]]
        play = client.table("agent_stacks").update({"execution_state": "running"}, returning=ReturnMethod.minimal)
        await play.in_("id", part).execute()


async def _delete(client: AsyncClient, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), PART):
        part = [str(id_) for id_ in ids[start : start + PART]]
        await client.table("messages").delete().in_("from_stack_id", part).execute()
        await client.table("agent_stacks").delete().in_("id", part).execute()
