"""What no sensible person or model would write: told in words, bounded, and nothing else is harmed."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest

from agents.memory.window import tokens
from agents.simulated import simulate

from .conftest import World
from .simulated import playing, with_idea

CALLS = "select count(*) from llm_calls"


async def test_a_thousand_todos_are_worked_off_with_prompts_of_ordinary_size(world: World) -> None:
    asked: list[dict[str, Any]] = []

    def model(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        asked.append({**context, "artifact": None})
        return simulate(role, context, seed)

    stack = await with_idea(world, "Tea timer")
    many = "insert into todos (stack_id, content) select $1, 'Wish number ' || n from generate_series(1, 1000) n"
    await world.admin.execute(many, stack)
    async with playing(world, model) as time:
        await time.play(time.now + timedelta(minutes=5))
    built = await world.admin.fetchval("select count(*) from todos where status = 'completed'")
    assert built > 10
    assert await world.admin.fetchval("select count(*) from todos") <= 1_000 + 20
    assert max(tokens(json.dumps(context)) for context in asked) < 6_000
    assert await world.admin.fetchval("select count(*) from agent_executions where status <> 'completed'") == 0


async def test_a_team_that_plans_in_circles_and_builds_nothing_is_left_alone(world: World) -> None:
    numbers = count()

    def model(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        said = simulate(role, context, seed)
        if context["role"] == "builder":
            return {**said, "html": "I am sorry, I cannot do that."}
        if context["role"] == "planner":
            todo = {"content": f"Plan number {next(numbers)}", "priority": 5, "assigned_to": "builder"}
            failed = [one["id"] for one in context["todos"]]
            return {**said, "add": [todo], "cancel": failed, "update": []}
        return said

    await with_idea(world, "Tea timer")
    async with playing(world, model) as time:
        await time.play(time.now + timedelta(hours=2))
        calls = await world.admin.fetchval(CALLS)
        await time.play(time.now + timedelta(hours=10))
        assert await world.admin.fetchval(CALLS) == calls
    assert calls < 200
    assert await world.admin.fetchval("select count(*) from artifacts") == 0
    shown = await world.admin.fetchval("select max(last_error) from todos")
    assert "not an HTML page" in shown


@pytest.mark.parametrize("text", ["x" * 100_000, "☃" * 2_001, " \n\t ", "\u200b\u2060", ""])
async def test_a_line_that_is_too_long_or_empty_is_refused_in_a_sentence(world: World, text: str) -> None:
    stack = await world.stack()
    with pytest.raises(asyncpg.PostgresError, match=r"shorten it|write something"):
        await world.admin.execute("insert into user_messages (stack_id, content) values ($1, $2)", stack, text)
    assert await world.admin.fetchval("select count(*) from user_messages") == 0
