"""A week of one stack with many visitors: what it remembers stays bounded, and what matters is in its prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from agents.memory.window import KNOWN_TOKENS, tokens
from agents.simulated import simulate

from .conftest import World
from .simulated import playing, with_idea

HOURS = 7 * 24
VISITS = range(5, HOURS, 5)
THINGS = ("theme", "sound", "counter", "button", "colour", "heading", "print", "share", "keyboard", "export")
SAY = """
insert into user_messages (stack_id, sender_name, content, created_at) values ($1, $2, $3, internal.clock())
"""
COUNTS = "select agent_type, kind, count(*) from memories group by 1, 2"


def taught() -> str:
    return "Violet Beauregarde chews gum and may only be shown violet pages"


async def visit(stack: Any, hour: int, database: asyncpg.Connection) -> None:
    await database.execute(
        "update agent_stacks set execution_state = 'running' where id = $1 and phase = 'complete'", stack
    )
    line = f"Please add a {THINGS[hour % len(THINGS)]} for hour {hour} of my week"
    await database.execute(SAY, stack, f"Visitor {hour % 40}", line)


async def test_a_week_of_visitors_leaves_a_bounded_memory_and_the_relevant_is_recalled(world: World) -> None:
    asked: list[Mapping[str, Any]] = []

    def model(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        asked.append(context)
        return simulate(role, context, seed)

    stack = await with_idea(world, "Tea timer")
    teach = "insert into memories (stack_id, agent_type, content, importance) values ($1, 'planner', $2, 3)"
    async with playing(world, model) as time:
        await world.admin.execute(teach, stack, taught())
        start = time.now
        happenings = [(start + timedelta(hours=hour), partial(visit, stack, hour)) for hour in VISITS]
        await time.play(start + timedelta(hours=HOURS), happenings)

        rows = await world.admin.fetch(COUNTS)
        counts = {row["agent_type"]: 0 for row in rows}
        for row in rows:
            counts[row["agent_type"]] += row["count"]
        print("items by agent after a week:", counts)
        assert max(counts.values()) <= 40
        assert await world.admin.fetchval("select count(*) from memories where kind = 'summary'") > 0
        orders = await world.admin.fetchval("select count(*) from agent_executions where work_key like 'memory:%'")
        assert 1 <= orders <= HOURS
        assert await world.admin.fetchval(
            "select bool_and(m.run_id is not null) from memories m where m.content <> $1", taught()
        )

        answered = await world.admin.fetchval("select count(*) from user_messages where status = 'answered'")
        assert answered == len(VISITS)
        asked.clear()
        await world.admin.execute(
            "update agent_stacks set execution_state = 'running' where id = $1 and phase = 'complete'", stack
        )
        await world.admin.execute(SAY, stack, "Violet Beauregarde", "What do you know about my gum?")
        await time.play(time.now + timedelta(minutes=5))

    answer = next(context for context in asked if context.get("task") == "visitor")
    assert any("chews gum" in item["text"] for item in answer["memory"][:2])
    for context in asked:
        assert tokens(json.dumps(context.get("memory", []))) <= KNOWN_TOKENS * 1.2
    print("tokens of the last prompts' contexts:", [tokens(json.dumps(context)) for context in asked[:4]])
