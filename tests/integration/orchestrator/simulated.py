"""The installed agents with the simulated model behind the real SDK, on the real verbs and a clock that is set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from agents.agent import Agent
from agents.simulated import simulate
from orchestrator.bench.fake_time import FakeTime, fake_time
from orchestrator.config import RealProvider
from orchestrator.engine import open_engine
from orchestrator.llm.providers import ChatProvider, openai_sdk
from orchestrator.llm.simulated import SimulatedTransport
from orchestrator.registry import load_agents

from .conftest import World

Simulate = Callable[[str, dict[str, Any], str], dict[str, Any]]


@asynccontextmanager
async def playing(
    world: World, model: Simulate = simulate, *, agents: Mapping[str, Agent] | None = None, **settings: Any
) -> AsyncIterator[FakeTime]:
    """A fleet of the installed agents; a stage takes two seconds."""
    async with httpx.AsyncClient(transport=SimulatedTransport(model)) as http:
        sdk = openai_sdk("simulated", "http://simulated.invalid/v1", http)
        chat = ChatProvider(sdk, name="simulated", settings=RealProvider(small="s", large="l"), simulated=True)
        team = load_agents() if agents is None else agents
        engine = open_engine(world.config(**settings), agents=team, observer=world.facts.append, providers=[chat])
        async with engine as opened, fake_time(opened, world.dsn, stage=timedelta(seconds=2)) as time:
            yield time


async def with_idea(world: World, title: str) -> Any:
    """A running stack with this name and idea."""
    stack = await world.stack(name=title, state="idle")
    idea = "insert into project_ideas (stack_id, title, created_by) values ($1, $2, 'operator')"
    await world.admin.execute(idea, stack, title)
    await world.move(stack, "running")
    return stack
