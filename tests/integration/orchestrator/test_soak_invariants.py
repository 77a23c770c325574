"""The soak's queries find what they are for: each invariant broken by hand is named, and nothing else is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from invariants import ALWAYS, AT_THE_END, violations

from .conftest import World

RUN = """
insert into agent_executions (id, stack_id, agent_type, worker_id, fence, status, priority, reason, work_key,
  started_at, completed_at)
values ($2, $1, $3, gen_random_uuid(), $4, $5, 5, 'r', 'k', now() - make_interval(secs => $6),
  case when $7 >= 0 then now() - make_interval(secs => $7) end)
"""
FIRST, SECOND = UUID(int=1), UUID(int=2)


async def run(
    world: World,
    stack: UUID,
    id_: UUID,
    *,
    agent: str = "builder",
    fence: int = 1,
    status: str = "completed",
    ages: tuple[float, float] = (30, 10),
) -> None:
    """A run that began and ended so many seconds ago (-1: has not ended)."""
    await world.admin.execute(RUN, stack, id_, agent, fence, status, *ages)
    if status == "completed":
        await trace(world, stack, id_)
        await world.admin.execute(
            "insert into llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model)"
            " values (gen_random_uuid(), $2, $1, 'x', 1, 'p', 'm')",
            stack,
            id_,
        )


async def trace(world: World, stack: UUID, id_: UUID) -> None:
    sql = "insert into agent_traces (stack_id, agent_type, action, run_id) values ($1, 'x', 'a', $2)"
    await world.admin.execute(sql, stack, id_)


async def overlap(world: World, stack: UUID) -> None:
    await run(world, stack, FIRST)
    await run(world, stack, SECOND, status="stopped", ages=(20, 5))


async def two_cycles(world: World, stack: UUID) -> None:
    await run(world, stack, FIRST)
    await run(world, stack, SECOND, agent="reviewer", fence=2, ages=(20, 5))


async def two_traces(world: World, stack: UUID) -> None:
    await run(world, stack, FIRST)
    await trace(world, stack, FIRST)


async def trace_of_nothing(world: World, stack: UUID) -> None:
    await run(world, stack, FIRST, status="abandoned")
    await trace(world, stack, FIRST)


async def no_ledger(world: World, stack: UUID) -> None:
    await run(world, stack, FIRST)
    await world.admin.execute("delete from llm_calls")


async def gap(world: World, stack: UUID) -> None:
    await world.admin.execute("insert into artifacts (stack_id, version) values ($1, 1), ($1, 3)", stack)


async def built_twice(world: World, stack: UUID) -> None:
    todo = await world.admin.fetchval(
        "insert into todos (stack_id, content, status, completed_at) values ($1, 't', 'completed', now()) returning id",
        stack,
    )
    sql = "insert into artifacts (stack_id, version, todo_id) values ($1, 1, $2), ($1, 2, $2)"
    await world.admin.execute(sql, stack, todo)


async def answer(world: World, stack: UUID, count: int) -> None:
    for _ in range(count):
        await world.admin.execute(
            "insert into messages (from_stack_id, content, message_type, run_id) values ($1, 'a', 'visitor', $2)",
            stack,
            FIRST,
        )


async def line(world: World, stack: UUID, status: str) -> None:
    sql = "insert into user_messages (stack_id, content, status, run_id) values ($1, 'q', $2, $3)"
    await world.admin.execute(sql, stack, status, FIRST if status == "claimed" else None)


async def answered_twice(world: World, stack: UUID) -> None:
    await line(world, stack, "answered")
    await line(world, stack, "answered")
    await answer(world, stack, 2)


async def answered_without_an_answer(world: World, stack: UUID) -> None:
    await line(world, stack, "answered")


async def orphaned_todo(world: World, stack: UUID) -> None:
    await world.admin.execute(
        "insert into todos (stack_id, content, status, run_id) values ($1, 't', 'in_progress', $2)", stack, FIRST
    )


async def orphaned_line(world: World, stack: UUID) -> None:
    await line(world, stack, "claimed")


async def read(world: World, stack: UUID, status: str) -> None:
    await world.admin.execute(
        "with m as (insert into messages (content, message_type) values ('hi', 'broadcast') returning id)"
        " insert into message_reads (message_id, stack_id, status, run_id) select id, $1, $2, $3 from m",
        stack,
        status,
        FIRST if status == "claimed" else None,
    )


async def orphaned_message(world: World, stack: UUID) -> None:
    await read(world, stack, "claimed")


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (overlap, "one agent in two runs at once"),
        (two_cycles, "two cycles of one stack landed at once"),
        (two_traces, "a completed run without exactly one trace"),
        (trace_of_nothing, "a trace of a run that did not land"),
        (no_ledger, "a completed run that is not in the ledger"),
        (gap, "a gap in an app's versions"),
        (built_twice, "a todo built twice"),
        (answered_twice, "a visitor answered twice"),
        (answered_without_an_answer, "answers that differ from answered lines"),
        (orphaned_todo, "a todo in work that no live run owns"),
        (orphaned_line, "a visitor's line in work that no live run owns"),
        (orphaned_message, "a team message in work that no live run owns"),
    ],
)
async def test_what_must_always_hold(world: World, break_it: Any, named: str) -> None:
    await break_it(world, await world.stack())
    long_ago = await world.admin.fetchval("select '-infinity'::timestamptz")
    assert await violations(world.admin, ALWAYS, long_ago) == {named: 1}


async def test_what_must_hold_at_the_end(world: World) -> None:
    stack = await world.stack()
    await world.admin.execute("insert into todos (stack_id, content) values ($1, 't')", stack)
    await line(world, stack, "waiting")
    await read(world, stack, "waiting")
    await run(world, stack, FIRST, status="running", ages=(30, -1))
    now = await world.admin.fetchval("select now()")
    assert await violations(world.admin, AT_THE_END, now) == dict.fromkeys(AT_THE_END, 1)


async def test_a_stack_that_does_well_breaks_nothing(world: World) -> None:
    stack = await world.stack()
    await run(world, stack, FIRST)
    await run(world, stack, SECOND, fence=2, ages=(9, 5))
    await line(world, stack, "answered")
    await answer(world, stack, 1)
    await read(world, stack, "read")
    now = await world.admin.fetchval("select now()")
    long_ago = await world.admin.fetchval("select '-infinity'::timestamptz")
    assert await violations(world.admin, ALWAYS, long_ago) == {}
    assert await violations(world.admin, AT_THE_END, now) == {}
