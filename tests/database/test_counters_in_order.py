"""The counters that the whole fleet shares are locked in one order, quota before budget, whatever a commit meets."""

from __future__ import annotations

import uuid

import anyio
import asyncpg
import pytest

from minibase.postgres.endpoint import Login

NOON = "2026-01-01T12:00:00Z"
WAITS = "select count(*) from pg_locks where not granted"
OFFER = {"provider": "groq", "model": "m", "tokens": 100, "usd": "0.10"}


def call():
    return {
        "id": str(uuid.uuid4()), "attempt": 1, "provider": "groq", "model": "m", "tokens_in": 10, "tokens_out": 5,
        "cost_usd": "0.01", "finish_reason": "stop", "simulated": False,
    }  # fmt: skip


def settlement(claimed):
    same = {key: claimed[key] for key in ("stack_id", "fence", "wakes")}
    return same | {"due_in_ms": 0, "wait_reason": None}


async def limited(db):
    """A fleet with limits and a budget, and two leased stacks."""
    await db.set_clock(NOON)
    await db.admin.execute(
        "insert into model_limits (provider, model, requests_per_minute, tokens_per_minute)"
        " values ('groq', 'm', 100, 100000)"
    )
    await db.admin.execute("insert into budgets (per, usd) values ('day', 10)")
    await db.stack("One")
    await db.stack("Two")
    return await db.claim()


async def beside_a_begin(db, commit):
    """What ``commit`` returns while somebody's begin holds the quota and then wants the budget. Raises on deadlocks."""
    begin = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    found = []

    async def other() -> None:
        found.append(await commit())

    try:
        transaction = begin.transaction()
        await transaction.start()
        await begin.execute("select from internal.quota order by provider, model, kind for update")
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other)
                while not await db.one(WAITS):  # noqa: ASYNC110 - nothing tells us but looking
                    await anyio.sleep(0.01)
                await begin.execute("update internal.budget_use set usd = usd")
                await transaction.commit()
        return found[0]
    finally:
        await begin.close()


async def test_a_commit_whose_claim_takes_over_a_dead_workers_run(db):
    one, two = await limited(db)
    await db.begin(two, "builder", offers=[OFFER])  # its worker dies with it
    await db.pass_time(60)
    again = await db.verb(
        "heartbeat", worker=str(uuid.uuid4()), name="n", version="1", slots=1, lease_ms=15000, leases=[]
    )
    assert again["renewed"] == 0
    run = await db.begin(one, "planner", offers=[OFFER])

    async def commit():
        claim = {"max": 1, "lease_ms": 15000}
        return await db.commit(
            run | {"calls": [call()]},
            settlements=(settlement(one) | {"due_in_ms": None},),
            cadence_ms=10000,
            claim=claim,
        )

    answer = await beside_a_begin(db, commit)
    assert [stack["stack_id"] for stack in answer["claimed"]["stacks"]] == [two["stack_id"]]
    assert await db.one("select count(*) from agent_executions where status = 'abandoned'") == 1
    assert float(await db.one("select used_usd from budgets_now")) == pytest.approx(0.11)


async def test_a_commit_whose_report_comes_after_its_run_was_given_up_for_lost(db):
    one, _ = await limited(db)
    run = await db.begin(one, "planner", offers=[OFFER])
    await db.pass_time(60)
    await db.claim()  # somebody takes over, and the ledger gets a row for what the lost worker may have spent

    async def commit():
        return await db.commit(run | {"calls": [call()]}, cadence_ms=10000)

    answer = await beside_a_begin(db, commit)
    assert answer["verdicts"] == {run["run_id"]: "stale"}
    assert float(await db.one("select used_usd from budgets_now")) == pytest.approx(0.01)
