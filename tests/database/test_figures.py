"""What `stackbeat watch` is told of a stack: todos, the newest trace, and costs that add up over all looks."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest


async def call(db: Any, stack: UUID, cost: str) -> None:
    await db.admin.execute(
        "insert into llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, cost_usd, created_at) "
        "values ($1, $2, $3, 'planner', 1, 'groq', 'm', $4::text::numeric, internal.clock())",
        uuid4(),
        uuid4(),
        stack,
        cost,
    )


async def test_todos_and_the_newest_trace(db: Any) -> None:
    owls, boats = await db.stack("Owls"), await db.stack("Boats")
    for status in ("completed", "completed", "pending", "failed", "cancelled"):
        await db.admin.execute("insert into todos (stack_id, content, status) values ($1, 'x', $2)", owls, status)
    for thought in ("old", "new"):
        await db.admin.execute(
            "insert into agent_traces (stack_id, agent_type, thought, action) values ($1, 'builder', $2, 'build')",
            owls,
            thought,
        )
    found = (await db.verb("figures"))["stacks"]
    assert {key: found[str(owls)][key] for key in ("done", "open", "failed")} == {"done": 2, "open": 1, "failed": 1}
    assert found[str(owls)]["trace"]["thought"] == "new"
    assert found[str(boats)] == {
        "done": 0,
        "open": 0,
        "failed": 0,
        "cost_usd": 0,
        "cost_usd_recent": 0,
        "trace": None,
    }
    assert list((await db.verb("figures", stack_id=str(boats)))["stacks"]) == [str(boats)]


async def test_costs_add_up_whenever_one_looks(db: Any) -> None:
    await db.set_clock("2030-01-01T00:00:00Z")
    stack, after, told = await db.stack(), None, 0.0
    for seconds in (0, 1, 19, 5, 60, 0, 20, 3):
        await db.pass_time(seconds)
        await call(db, stack, "0.25")
        answer = await db.verb("figures", calls_after=after)
        figures = answer["stacks"][str(stack)]
        told, after = told + figures["cost_usd"], answer["until"]
        spent = await db.one("select sum(cost_usd) from llm_calls")
        assert told + figures["cost_usd_recent"] == pytest.approx(float(spent))
    assert told > 0, "what is old is told once, for good"


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_people_may_not_ask(db: Any, role: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person("select public.figures('{}')", role=role, app={"role": "operator"})
