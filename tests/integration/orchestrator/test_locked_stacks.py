"""People's transactions may hold stacks for long: the daemon waits politely, and goes on at once afterwards."""

from __future__ import annotations

import anyio

from orchestrator.facts import BeatDone, RunCommitted

from .conftest import Talker, World, answering

TRACES = "select count(*) from public.agent_traces where stack_id = $1 and action = 'talk'"


async def test_a_due_stack_that_somebody_holds_is_looked_at_a_few_times_a_second(world: World) -> None:
    stack = await world.stack()
    async with world.admin.transaction():
        await world.admin.execute("update public.agent_stacks set priority = 7")
        async with world.daemon([Talker()], [answering()]):
            await world.until_fact(BeatDone)
            before = len([fact for fact in world.facts if isinstance(fact, BeatDone)])
            await anyio.sleep(2)  # the length of the observation
            beats = len([fact for fact in world.facts if isinstance(fact, BeatDone)]) - before
    assert 2 <= beats <= 12
    async with world.daemon([Talker()], [answering()]):
        await world.until(f"select ({TRACES}) = 1", stack)


async def test_bulk_updates_without_end_neither_stop_nor_double_anything(world: World) -> None:
    stacks = [await world.stack(f"Stack {n}") for n in range(10)]
    async with world.daemon([Talker(turns=3)], [answering()]), anyio.create_task_group() as group:

        async def press() -> None:
            while True:
                await world.admin.execute("update public.agent_stacks set priority = priority")
                await anyio.sleep(0.002)

        group.start_soon(press)
        with anyio.fail_after(30):
            while len([fact for fact in world.facts if isinstance(fact, RunCommitted)]) < 3 * len(stacks):
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    assert {fact.verdict for fact in world.facts if isinstance(fact, RunCommitted)} == {"done"}
    for stack in stacks:
        assert await world.admin.fetchval(TRACES, stack) == 3
    assert not await world.admin.fetchval("select count(*) from public.agent_executions where status <> 'completed'")
