"""A day in the life of a stack with nothing to do, on the real verbs and a clock that is set: nobody is asked twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agents.builder import agent as builder
from agents.communicator import agent as communicator
from agents.planner import agent as planner
from agents.reviewer import agent as reviewer
from orchestrator.bench.fake_time import FakeTime, fake_time
from orchestrator.engine import open_engine
from orchestrator.llm.values import Reply, Request, Tier

from .conftest import World

AGENTS = {agent.name: agent for agent in (planner, builder, communicator, reviewer)}
NOTHING: dict[str, Any] = {"thinking": "hm", "idea": None, "phase": None, "add": [], "update": [], "cancel": []}


@dataclass(kw_only=True)
class Content:
    """A model that plans nothing, and keeps what it was asked."""

    name: str = "content"
    simulated: bool = True
    timeout_s: float = 5.0
    asked: list[tuple[str, str]] = field(default_factory=list)

    def model(self, tier: Tier, role: str) -> str:
        return "content-1"

    async def complete(self, request: Request) -> Reply:
        self.asked.append((request.role, request.ask_hash))
        said = NOTHING if request.role == "planner" else {"thinking": "hm", "answer": "Not yet."}
        return Reply(text=json.dumps(said), finish_reason="stop", tokens_in=10, tokens_out=5)


@asynccontextmanager
async def living(world: World, model: Content) -> AsyncIterator[FakeTime]:
    engine = open_engine(world.config(), agents=AGENTS, observer=world.facts.append, providers=[model])
    async with engine as opened, fake_time(opened, world.dsn) as time:
        yield time


async def waiting_for_a_page(world: World) -> Any:
    """A running stack whose one open todo is an announcement that waits for a first version, which nobody builds."""
    stack = await world.stack(state="idle")
    admin = world.admin
    await admin.execute(
        "insert into project_ideas (stack_id, title, description, created_by) values ($1, 'Tea timer', '', 'operator')",
        stack,
    )
    await admin.execute("update agent_stacks set phase = 'building' where id = $1", stack)
    await admin.execute("select set_config('stackbeat.machine', 'on', false)")
    todo = (
        "insert into todos (stack_id, content, assigned_to, assigned_by) values ($1, 'Tell', 'communicator', 'planner')"
    )
    await admin.execute(todo, stack)
    await admin.execute("select set_config('stackbeat.machine', '', false)")
    return stack


async def test_an_idle_stack_is_never_asked_the_same_twice_in_a_day(world: World) -> None:
    model = Content()
    async with living(world, model) as time:
        stack = await waiting_for_a_page(world)
        await world.move(stack, "running")
        await time.play(time.now + timedelta(hours=24))
        # A look after five minutes, then one whenever less scope is left: at 50, 70 and 85 % of eight hours.
        assert [role for role, _ in model.asked] == ["planner"] * 4
        assert len(set(model.asked)) == len(model.asked)

        before = len(model.asked)
        await world.admin.execute("update project_ideas set title = 'Coffee timer' where stack_id = $1", stack)
        await world.admin.execute("update agent_stacks set woken_at = internal.clock() where id = $1", stack)
        await time.play(time.now + timedelta(hours=24))
        assert len(model.asked) == before + 1, "what changed is a reason, once"


async def test_a_backlog_that_nobody_fills_is_asked_for_a_few_times_and_then_no_more(world: World) -> None:
    model = Content()
    async with living(world, model) as time:
        stack = await waiting_for_a_page(world)
        await world.admin.execute("delete from todos where stack_id = $1", stack)
        await world.move(stack, "running")
        await time.play(time.now + timedelta(hours=24))
    assert model.asked == model.asked[:1] * 5, "its quiet times say when"
