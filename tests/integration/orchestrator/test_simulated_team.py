"""The real four agents with the simulated model, through the real SDK: what a newcomer sees first."""

from __future__ import annotations

from pydantic import BaseModel

from orchestrator.llm.schema import strict_schema
from orchestrator.registry import load_agents

from .conftest import World


async def test_a_fresh_stack_reaches_an_idea_todos_and_a_page_and_answers_a_visitor(world: World) -> None:
    stack = await world.stack()
    async with world.daemon():
        await world.until("select count(*) > 0 from public.artifacts where stack_id = $1", stack)
        assert await world.admin.fetchval("select title <> '' from public.project_ideas where stack_id = $1", stack)
        assert await world.admin.fetchval("select count(*) > 1 from public.todos where stack_id = $1", stack)
        ask = "insert into public.user_messages (stack_id, sender_name, content) values ($1, 'Ada', 'How far are you?')"
        await world.admin.execute(ask, stack)
        await world.until("select status = 'answered' from public.user_messages where stack_id = $1", stack)
    calls = await world.admin.fetch("select distinct provider, model, simulated, cost_usd from public.llm_calls")
    assert [tuple(call) for call in calls] == [("simulated", "simulated-v1", True, 0)]
    for table in ("agent_traces", "artifacts", "messages"):
        assert await world.admin.fetchval(f"select bool_and(simulated) from public.{table}"), table
    assert await world.admin.fetchval("select count(*) from public.agent_executions where status <> 'completed'") == 0


async def test_every_installed_agent_asks_for_something_strict_mode_can_say() -> None:
    agents = load_agents()
    assert set(agents) >= {"planner", "builder", "communicator", "reviewer"}
    for name, agent in agents.items():
        module = __import__(f"agents.{name}.output", fromlist=["output"])
        models = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__
        ]
        assert models, agent
        for model in models:
            assert strict_schema(model)["additionalProperties"] is False
