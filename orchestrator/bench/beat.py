"""``bench beat``: N stacks x 4 agents through the daemon's real path; one dictionary of figures comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import anyio
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from orchestrator.bench.agents import NAMES, bench_agents
from orchestrator.bench.meter import Reading, open_meter, peak_rss_mb
from orchestrator.bench.model import bench_model
from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.facts import BatchSent, BeatDone, Fact, RunCommitted, SignalsUp

TODOS = 10
MESSAGES = 10
CHUNK = 500
PART = 100  # ids in one address line
LIMIT_S = 900.0


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What the daemons report while they run."""

    wanted: int
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
                if self.runs >= self.wanted:
                    self.done.set()
            case BatchSent():
                self.calls += 1
                if fact.verb == "commit_runs":
                    now = anyio.current_time()
                    self.commits.append((now - fact.took_ms / 1_000, now))
            case BeatDone():
                self.calls += 1
                if self.first_claim_ms is None:
                    self.first_claim_ms = fact.took_ms
                self.lags_ms.append(fact.lag_ms)
            case SignalsUp():
                self.ready += 1
                if self.ready >= self.daemons:
                    self.listening.set()
            case _:
                pass


async def bench_beat(
    config: Config,
    *,
    stacks: int,
    latency: tuple[float, float] = (0.0, 0.0),
    cycles: int = 1,
    daemons: int = 1,
    parallel: bool = False,
    wire: bool = False,
    db_admin_url: str | None = None,
    server_pid: int | None = None,
) -> dict[str, Any]:
    """Play ``stacks`` fresh stacks until each agent ran ``cycles`` times; the stacks are deleted afterwards.

    The clock runs from the UPDATE that plays them to the last verdict. Figures of the database and the server are None
    without ``db_admin_url`` and ``server_pid``. Raises StoreError, and TimeoutError after fifteen minutes.
    """
    tally = _Tally(wanted=stacks * len(NAMES) * cycles, daemons=daemons)
    config = config.model_copy(update={"slots": max(1, -(-stacks // daemons))})
    options = AsyncClientOptions(auto_refresh_token=False, persist_session=False)
    client = await acreate_client(config.supabase_url, config.service_key.get_secret_value(), options)
    ids = await _seed(client, stacks)
    try:
        async with (
            open_meter(db_admin_url, server_pid) as meter,
            bench_model(*latency, wire=wire) as model,
            anyio.create_task_group() as group,
        ):

            async def daemon() -> None:
                agents = bench_agents(rounds=cycles, parallel=parallel)
                await run_daemon(config, observer=tally.observe, agents=agents, providers=[model])

            for _ in range(daemons):
                group.start_soon(daemon)
            with anyio.fail_after(LIMIT_S):
                await tally.listening.wait()
                before, started = await meter.read(), anyio.current_time()
                await _play(client, ids)
                await tally.done.wait()
                wall_s, after = anyio.current_time() - started, await meter.read()
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _delete(client, ids)
            await client.postgrest.aclose()
    stages = cycles * (1 if parallel else len(NAMES))
    return _figures(tally, before, after, wall_s=wall_s, ideal_s=stages * sum(latency) / 2) | {
        "stacks": stacks,
        "latency": f"{latency[0]:g}-{latency[1]:g}",
        "cycles": cycles,
        "daemons": daemons,
        "parallel": parallel,
        "wire": wire,
    }


def _figures(tally: _Tally, before: Reading, after: Reading, *, wall_s: float, ideal_s: float) -> dict[str, Any]:
    def per_run(name: str, scale: float = 1.0) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        return None if first is None or last is None else round((last - first) * scale / tally.runs, 3)

    lags = sorted(tally.lags_ms) or [0.0]
    return {
        "wall_s": round(wall_s, 4),
        "ideal_s": round(ideal_s, 4),
        "overhead_s": round(wall_s - ideal_s, 4),
        "runs": tally.runs,
        "failed_runs": tally.wrong,
        "runs_per_s": round(tally.runs / wall_s, 1),
        "calls_per_run": round(tally.calls / tally.runs, 3),
        "claim_ms": None if tally.first_claim_ms is None else round(tally.first_claim_ms, 1),
        "commit_ms": round(covered(tally.commits) * 1_000, 1),
        "beat_lag_p95_ms": round(lags[int(len(lags) * 0.95) - (len(lags) == 1)], 1),
        "statements_per_run": per_run("statements"),
        "transactions_per_run": per_run("transactions"),
        "wal_kb_per_run": per_run("wal_bytes", 1 / 1024),
        "client_cpu_ms_per_run": per_run("client_cpu_s", 1_000),
        "server_cpu_ms_per_run": per_run("server_cpu_s", 1_000),
        "db_cpu_ms_per_run": per_run("db_cpu_s", 1_000),
        "peak_rss_mb": peak_rss_mb(),
    }


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long at least one of these spans (start, end) lasted: calls that overlap count once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


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
        await client.table("agent_stacks").update({"execution_state": "running"}).in_("id", part).execute()


async def _delete(client: AsyncClient, ids: Sequence[UUID]) -> None:
    for start in range(0, len(ids), PART):
        part = [str(id_) for id_ in ids[start : start + PART]]
        await client.table("messages").delete().in_("from_stack_id", part).execute()
        await client.table("agent_stacks").delete().in_("id", part).execute()
