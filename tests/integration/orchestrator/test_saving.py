"""Before a budget is exhausted, a daemon saves: slower, cheaper, fewer, as configured; a provider over HTTP sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from llmock.testing import LLMockServer

from agents.ask import Ask
from agents.snapshot import Snapshot
from agents.work import Work
from orchestrator.facts import SavingBegan, SavingEnded

from .conftest import Talker, World


@dataclass(frozen=True, kw_only=True)
class Thinker(Talker):
    """A talker that asks for the large model."""

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return replace(super().ask(snapshot, work), tier="large")


@pytest.fixture(scope="module")
def provider() -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        yield running


def models(server: LLMockServer) -> dict[str, Any]:
    box = {"base_url": server.base_url("together"), "small": "tiny", "large": "huge"}
    return {"order": ["box"], "endpoints": {"box": box}}


def asked(server: LLMockServer) -> list[str | None]:
    return [record.model for record in server.state.journal.records(wait=3) if record.path.endswith("/completions")]


async def spend(world: World, stack: Any, tokens: int) -> None:
    """A call in the ledger, counted against the budgets, as a commit would."""
    call = """insert into llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, tokens_in)
        values (gen_random_uuid(), gen_random_uuid(), $1, 'planner', 1, 'box', 'tiny', $2) returning id"""
    id_ = await world.admin.fetchval(call, stack, tokens)
    await world.admin.execute("select internal.count_spent(array[$1::uuid], internal.clock())", id_)


async def set_budget(world: World, tokens: int) -> None:
    sql = """insert into budgets (per, tokens) values ('all time', $1)
        on conflict (stack_id, agent_type, per) do update set tokens = excluded.tokens"""
    await world.admin.execute(sql, tokens)


# Each is true once it is so.
TURNS = "select coalesce((memory ->> 'turns')::int, 0) >= $3 from agent_states where stack_id = $1 and agent_type = $2"
SAYS = "select wait_reason like $2 from stack_status where stack_id = $1"
TWO_MORE = "select count(*) >= $2 + 2 from agent_executions where stack_id = $1"
NEWEST_MODEL = """select model = $2 from llm_calls where stack_id = $1 and tokens_out > 0
    order by created_at desc limit 1"""
LAST_GAP = """select min(gap) from (
    select started_at - lag(started_at) over (partition by agent_type order by started_at) as gap,
        row_number() over (partition by agent_type order by started_at desc) as nth
    from agent_executions where stack_id = $1) x where nth = 1"""
RUNS = "select count(*) from agent_executions where stack_id = $1 and agent_type = any ($2)"


async def test_steps_are_taken_one_after_the_other_and_taken_back(world: World, provider: LLMockServer) -> None:
    provider.state.reset()
    steps = {
        "slow": {"at": 0.3, "slower": 20},
        "cheap": {"at": 0.5, "tier": "small"},
        "few": {"at": 0.7, "roles": ["planner"]},
    }
    agents = [Thinker(name="planner", turns=1_000, urgent=False), Thinker(name="builder", turns=1_000, urgent=False)]
    await set_budget(world, 1_000_000)
    stack = await world.stack(state="idle")
    budget = {"degrade": steps, "every_s": 0.1}
    async with world.daemon(agents, budget=budget, cadence_s=0.1, models=models(provider)):
        await world.move(stack, "running")
        await world.until(TURNS, stack, "builder", 3)
        assert set(asked(provider)) == {"huge"}

        await spend(world, stack, 400_000)
        said = "saving (slow): 40% of the 1000000 tokens in all of all stacks is used; next look at %"
        await world.until(SAYS, stack, said)
        since = await world.admin.fetchval(RUNS, stack, ["planner", "builder"])
        await world.until(TWO_MORE, stack, since)
        # Twenty times a tenth of a second lie between two runs of one agent.
        assert await world.admin.fetchval(LAST_GAP, stack) >= timedelta(seconds=2)

        await spend(world, stack, 150_000)
        await world.until(NEWEST_MODEL, stack, "tiny")

        await spend(world, stack, 200_000)
        await world.until(SAYS, stack, "saving (few): 75% of % is used; builder waits; next look at %")
        built = await world.admin.fetchval(RUNS, stack, ["builder"])
        planned = await world.admin.fetchval(RUNS, stack, ["planner"])
        await world.until(TURNS, stack, "planner", planned + 2)
        assert await world.admin.fetchval(RUNS, stack, ["builder"]) == built

        await set_budget(world, 100_000_000)
        await world.until_fact(SavingEnded)
        await world.until(TURNS, stack, "builder", built + 1)
        await world.until(NEWEST_MODEL, stack, "huge")
    assert [fact.step for fact in world.facts if isinstance(fact, SavingBegan)] == ["slow", "cheap", "few"]
