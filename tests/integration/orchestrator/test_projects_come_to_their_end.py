"""Fresh stacks of the simulated team, alone on the real verbs and a set clock: from an idea to the end, and silence."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise

from agents.page import check
from agents.simulated.planner import IDEAS

from .conftest import World
from .simulated import playing, with_idea

MORE_IDEAS = ("Tea ceremony clock", "Sourdough diary", "Chess opening quiz", "Marathon tracker", "Moving house board")
STEPS = ("planning", "build", "review", "announce")
CALLS = "select count(*) from llm_calls"
VERSIONS = """
select f.version, f.metadata -> 'answers' as answers, b.content, b.diff
from artifacts f join artifact_bodies b on b.artifact_id = f.id where f.stack_id = $1 order by f.version
"""


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
