"""``bench live``: one stack asks real models until its first artifact is there, or a limit is.

It is played by hand, cycle by cycle, and stays idle for everybody else: no daemon of the same Supabase takes it, and no
other stack is touched. A budget of its own is the cap, so the database refuses what would go beyond it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import anyio
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from agents.page import check
from orchestrator.config import Config
from orchestrator.cycle import CycleReport
from orchestrator.daemon import tick
from orchestrator.facts import Fact, Observer, PriceUnknown, ProviderAlarm
from orchestrator.llm.prices import Prices
from orchestrator.verbs import RunStatus

NAME = "Live check"
CALL = (
    "run_id,attempt,provider,model,tokens_in,tokens_cached,tokens_out,cost_usd,latency_ms,finish_reason,error,simulated"
)


class End(StrEnum):
    """How it ended: the verdict of the report."""

    ARTIFACT = "artifact"
    BUDGET = "budget"
    TIME = "time"
    DENIED = "denied"
    IDLE = "idle"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What it may take: dollars and seconds."""

    usd: Decimal
    seconds: float


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What was reported and no row keeps; all of it goes on to ``observer``."""

    observer: Observer
    alarm: str | None = None
    unpriced: bool = False

    def observe(self, fact: Fact) -> None:
        match fact:
            case ProviderAlarm():
                self.alarm = f"{fact.provider} ({fact.model}): {fact.error}"
            case PriceUnknown():
                self.unpriced = True
            case _:
                pass
        self.observer(fact)


async def bench_live(
    config: Config, limits: Limits, observer: Observer, report: Callable[[dict[str, Any]], None]
) -> None:
    """Play a fresh stack to its first artifact; ``report`` gets what there is to say however it ends.

    The stack is deleted afterwards; what it spent stays in the ledger. Raises StoreError, ConfigError, RegistryError.
    """
    heard, started = _Heard(observer=observer), anyio.current_time()
    end, why = End.STOPPED, "it was stopped"
    async with _stack(config, limits.usd) as (client, stack):
        try:
            end, why = await _play(config, stack, client, limits, heard)
        finally:
            with anyio.CancelScope(shield=True):
                found = await _read(client, stack)
                took = {"seconds": round(anyio.current_time() - started, 1), "priced_by_guess": heard.unpriced}
                report(_described(config, limits) | _said(end, why, found, took) | took | found)


async def _play(config: Config, stack: UUID, client: AsyncClient, limits: Limits, heard: _Heard) -> tuple[End, str]:
    until = anyio.current_time() + limits.seconds
    while (left := until - anyio.current_time()) > 0:
        cycle = await tick(stack, config=_within(config, left), observer=heard.observe)
        if (await client.table("artifacts").select("id").eq("stack_id", str(stack)).execute()).data:
            return End.ARTIFACT, "the first artifact is there"
        reason = cycle.due.reason or ""
        if reason.startswith("budget exhausted"):
            return End.BUDGET, f"{reason}; raise --cap, or give the model its price in stackbeat.toml"
        if heard.alarm is not None and not _progressed(cycle):
            return End.DENIED, heard.alarm
        if cycle.due.after is None:
            return End.IDLE, f"no agent has anything to do ({reason})"
        await anyio.sleep(min(cycle.due.after.total_seconds(), max(0.0, until - anyio.current_time())))
    return End.TIME, f"no artifact within {limits.seconds:g} s"


def _within(config: Config, seconds: float) -> Config:
    """The same settings, with no question longer than that: a limit of time never cuts a call that may be paid."""
    models = config.models
    return config.model_copy(
        update={"models": models.model_copy(update={"deadline_s": min(models.deadline_s, seconds)})}
    )


def _progressed(cycle: CycleReport) -> bool:
    return any(run.status is RunStatus.COMPLETED for run in cycle.runs)


@asynccontextmanager
async def _stack(config: Config, usd: Decimal) -> AsyncIterator[tuple[AsyncClient, UUID]]:
    """An idle stack with a budget of its own, for the length of the block."""
    options = AsyncClientOptions(auto_refresh_token=False, persist_session=False)
    client = await acreate_client(config.supabase_url, config.service_key.get_secret_value(), options)
    stack = uuid4()
    try:
        await client.table("agent_stacks").insert({"id": str(stack), "participant_name": NAME}).execute()
        await (
            client.table("budgets")
            .insert({"stack_id": str(stack), "per": "all time", "usd": format(usd, "f")})
            .execute()
        )
        yield client, stack
    finally:
        with anyio.CancelScope(shield=True):
            await client.table("agent_stacks").delete().eq("id", str(stack)).execute()
            await client.postgrest.aclose()


async def _read(client: AsyncClient, stack: UUID) -> dict[str, Any]:
    """The stack's runs with their calls, the sums, and the page."""
    runs = client.table("agent_executions").select("id,agent_type,reason,status,error").eq("stack_id", str(stack))
    calls = client.table("llm_calls").select(CALL).eq("stack_id", str(stack)).order("created_at").order("attempt")
    pages = client.table("artifacts").select("version,size_bytes,artifact_bodies(content)").eq("stack_id", str(stack))
    rows: Any = (await calls.execute()).data
    made: Any = (await runs.order("started_at").execute()).data
    page: Any = (await pages.order("version").limit(1).execute()).data
    return {
        "calls": len(rows),
        "failed_calls": sum(row["error"] is not None for row in rows),
        **{name: sum(row[name] for row in rows) for name in ("tokens_in", "tokens_cached", "tokens_out")},
        "cost_usd": format(sum((Decimal(str(row["cost_usd"])) for row in rows), Decimal(0)), "f"),
        "runs": [_run(run, rows) for run in made],
        "artifact": _artifact(page[0]) if page else None,
    }


def _run(run: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    own = [
        {**call, "cost_usd": format(Decimal(str(call["cost_usd"])), "f")}
        for call in calls
        if call["run_id"] == run["id"]
    ]
    return {"agent": run["agent_type"], "reason": run["reason"], "status": run["status"], "error": run["error"]} | {
        "calls": own
    }


def _artifact(row: dict[str, Any]) -> dict[str, Any]:
    body = row["artifact_bodies"]
    content = (body[0] if isinstance(body, list) else body)["content"]
    findings = [f"{finding.severity}: {finding.text}" for finding in check(content)]
    return {"version": row["version"], "bytes": row["size_bytes"], "findings": findings, "content": content}


def _described(config: Config, limits: Limits) -> dict[str, Any]:
    """What was asked for, when, of whom, at which prices."""
    prices = Prices(own=config.models.prices, default=config.models.default_price)
    asked = [(name, real) for name in config.models.chain() if (real := config.models.real(name)) is not None]
    models = sorted({(name, model) for name, real in asked for model in (real.small, real.large, *real.roles.values())})
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "providers": [name for name, _ in asked],
        "usd_per_million_tokens": {
            f"{name}/{model}": [str(usd) for usd in prices.most_per_million(name, model)] for name, model in models
        },
        "spending_cap_usd": str(limits.usd),
        "time_limit_s": limits.seconds,
    }


def _said(end: End, why: str, found: dict[str, Any], took: dict[str, Any]) -> dict[str, str]:
    failed = f", {found['failed_calls']} of them failed" if found["failed_calls"] else ""
    guess = " (a price is guessed)" if took["priced_by_guess"] else ""
    spent = (
        f"{found['calls']} calls{failed}, {found['tokens_in']} tokens in ({found['tokens_cached']} of them cached), "
        f"{found['tokens_out']} out, {Decimal(found['cost_usd']):.5f} USD{guess}, {took['seconds']} s"
    )
    return {"verdict": end.value, "said": f"{end.value}: {why}; {spent}"}
