"""What is older than the settings keep it goes by itself; the rest stays."""

from __future__ import annotations

import anyio

from orchestrator.facts import Pruned
from orchestrator.retention import BATCH

from .conftest import PATIENCE_S, World


def _deleted(world: World) -> list[int]:
    return [fact.deleted["agent_traces"] for fact in world.facts if isinstance(fact, Pruned)]


async def test_old_traces_runs_and_ledger_rows_are_deleted_without_being_asked(world: World) -> None:
    stack = await world.stack(state="idle")
    backlog = BATCH + 50
    await world.admin.execute(
        """insert into public.agent_traces (stack_id, agent_type, action, created_at)
        select $1, 'planner', 'planning', now() - make_interval(days => case when n > $2 then 2 else 20 end)
        from generate_series(1, $2 + 7) n""",
        stack,
        backlog,
    )
    await world.admin.execute(
        """insert into public.llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, created_at)
        select gen_random_uuid(), gen_random_uuid(), $1, 'planner', 1, 'groq', 'm', now() - make_interval(days => d)
        from unnest(array[80, 100]) d""",
        stack,
    )
    async with world.daemon(retention={"traces_days": 14, "calls_days": 90}):
        await world.until("select count(*) = 7 from public.agent_traces")
        await world.until("select count(*) = 1 from public.llm_calls")
        with anyio.fail_after(PATIENCE_S):  # the rows are gone before the daemon hears so
            while True:
                if sum(_deleted(world)) >= backlog:
                    break
                await anyio.sleep(0.05)
    assert sum(_deleted(world)) == backlog
    assert max(_deleted(world)) == BATCH
