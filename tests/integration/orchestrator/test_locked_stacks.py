"""People's transactions may hold stacks for long: the daemon waits politely, and goes on at once afterwards."""

from __future__ import annotations

from typing import Any

import anyio
import asyncpg
import pytest

from orchestrator.facts import RunCommitted, SignalsUp
from orchestrator.store import Store
from orchestrator.verbs import Claim

from .conftest import Talker, World, answering

TRACES = "select count(*) from public.agent_traces where stack_id = $1 and action = 'talk'"


async def test_a_due_stack_that_somebody_holds_is_looked_at_a_few_times_a_second(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims: list[Claim] = []
    claim = Store.claim

    async def noted(self: Store, *terms: Any, **more: Any) -> Claim:
        claims.append(await claim(self, *terms, **more))
        return claims[-1]

    monkeypatch.setattr(Store, "claim", noted)
    stack = await world.stack()
    async with world.daemon([Talker()], [answering()]):
        async with world.admin.transaction():
            await world.admin.execute("update public.agent_stacks set priority = 7")
            await world.until_fact(SignalsUp)
            before = len(claims)
            await anyio.sleep(2)  # the length of the observation
            looks = len(claims) - before
        await world.until(f"select ({TRACES}) = 1", stack, within_s=2)
    assert looks <= 10


async def test_bulk_updates_without_end_neither_stop_nor_double_anything(world: World) -> None:
    stacks = [await world.stack(f"Stack {n}") for n in range(10)]
    editor = await asyncpg.connect(world.dsn)
    async with world.daemon([Talker(turns=3)], [answering()]), anyio.create_task_group() as group:

        async def press() -> None:
            while True:
                await editor.execute("update public.agent_stacks set priority = priority")
                await anyio.sleep(0.002)

        group.start_soon(press)
        for stack in stacks:
            await world.until(f"select ({TRACES}) = 3", stack)
        group.cancel_scope.cancel()
    await editor.close()
    assert {fact.verdict for fact in world.facts if isinstance(fact, RunCommitted)} == {"done"}
    for stack in stacks:
        assert await world.admin.fetchval(TRACES, stack) == 3
    assert not await world.admin.fetchval("select count(*) from public.agent_executions where status <> 'completed'")
