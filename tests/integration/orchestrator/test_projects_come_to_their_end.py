"""Fresh stacks of the simulated team, alone on the real verbs and a set clock: from an idea to the end, and silence."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx

from agents.page import check
from agents.simulated import simulate
from agents.simulated.planner import IDEAS
from orchestrator.bench.fake_time import FakeTime, fake_time
from orchestrator.config import RealProvider
from orchestrator.engine import open_engine
from orchestrator.llm.providers import ChatProvider, openai_sdk
from orchestrator.llm.simulated import SimulatedTransport
from orchestrator.registry import load_agents

from .conftest import World

MORE_IDEAS = ("Tea ceremony clock", "Sourdough diary", "Chess opening quiz", "Marathon tracker", "Moving house board")
STEPS = ("planning", "build", "review", "announce")
CALLS = "select count(*) from llm_calls"
VERSIONS = """
select f.version, f.metadata -> 'answers' as answers, b.content, b.diff
from artifacts f join artifact_bodies b on b.artifact_id = f.id where f.stack_id = $1 order by f.version
"""


@asynccontextmanager
async def playing(world: World) -> AsyncIterator[FakeTime]:
    async with httpx.AsyncClient(transport=SimulatedTransport(simulate)) as http:
        sdk = openai_sdk("simulated", "http://simulated.invalid/v1", http)
        model = ChatProvider(sdk, name="simulated", settings=RealProvider(small="s", large="l"), simulated=True)
        engine = open_engine(world.config(), agents=load_agents(), observer=world.facts.append, providers=[model])
        async with engine as opened, fake_time(opened, world.dsn, stage=timedelta(seconds=2)) as time:
            yield time


async def with_idea(world: World, title: str) -> Any:
    stack = await world.stack(name=title, state="idle")
    idea = "insert into project_ideas (stack_id, title, created_by) values ($1, $2, 'operator')"
    await world.admin.execute(idea, stack, title)
    await world.move(stack, "running")
    return stack


async def test_a_fresh_stack_completes_alone_and_then_nobody_is_asked_for_ten_hours(world: World) -> None:
    stack = await world.stack()
    async with playing(world) as time:
        await time.play(time.now + timedelta(hours=1))
        row = await world.admin.fetchrow("select phase, execution_state from agent_stacks where id = $1", stack)
        assert tuple(row) == ("complete", "idle")
        actions = [r[0] for r in await world.admin.fetch("select action from agent_traces order by id")]
        assert [actions.index(step) for step in STEPS[:3]] == sorted(actions.index(step) for step in STEPS[:3])
        assert set(actions) == set(STEPS)
        assert await world.admin.fetchval("select bool_and(status = 'completed') from todos")
        calls = await world.admin.fetchval(CALLS)
        assert calls > 8

        await time.play(time.now + timedelta(hours=10))
        assert await world.admin.fetchval(CALLS) == calls


async def test_twenty_ideas_become_twenty_pages_whose_defects_were_found_answered_and_repaired(world: World) -> None:
    titles = [title for title, _ in IDEAS][: 20 - len(MORE_IDEAS)]
    titles += [*MORE_IDEAS, *(f"Nameless idea {number}" for number in range(20))][: 20 - len(titles)]
    stacks = [await with_idea(world, title) for title in titles]
    async with playing(world) as time:
        await time.play(time.now + timedelta(hours=1))
    assert await world.admin.fetchval("select count(*) from agent_stacks where phase = 'complete'") == len(titles) == 20
    last, repaired = set(), 0
    for stack in stacks:
        versions = await world.admin.fetch(VERSIONS, stack)
        for before, after in pairwise(versions):
            assert after["diff"].count("\n+") + after["diff"].startswith("+") > 0
            found = {finding.text for finding in check(before["content"])}
            left = {finding.text for finding in check(after["content"])}
            assert bool(found) == bool(after["answers"]), "every open issue has its answer in the next version"
            repaired += len(found - left)
        assert check(versions[-1]["content"]) == ()
        last.add(re.sub(r"Version \d+", "", versions[-1]["content"]))
    assert len(last) == 20
    assert repaired >= 1
    assert await world.admin.fetchval("select count(*) from agent_executions where status <> 'completed'") == 0
