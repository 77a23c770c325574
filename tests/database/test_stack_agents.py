"""The team of a stack: a row takes an agent out, and the stack looks at once."""

from __future__ import annotations

import asyncpg
import pytest

OUT = "insert into stack_agents (stack_id, agent_type, plays) values ($1, 'reviewer', false)"


async def test_who_is_out_is_in_the_snapshot_and_every_change_wakes_the_stack(db):
    stack = await db.stack()
    wakes = "select wakes from stack_schedule where stack_id = $1"
    seen = [await db.one(wakes, stack)]
    await db.as_operator(OUT, stack)
    seen.append(await db.one(wakes, stack))
    (claimed,) = await db.claim()
    assert claimed["snapshot"]["absent"] == ["reviewer"]
    await db.as_operator("update stack_agents set plays = true where stack_id = $1", stack)
    seen.append(await db.one(wakes, stack))
    await db.as_operator("delete from stack_agents where stack_id = $1", stack)
    seen.append(await db.one(wakes, stack))
    assert seen == sorted(set(seen)), "each of them woke it"
    await db.admin.execute("update stack_schedule set lease_owner = null, lease_expires_at = null")
    (claimed,) = await db.claim()
    assert claimed["snapshot"]["absent"] == []


async def test_everybody_sees_the_team_and_operators_alone_change_it(db):
    stack = await db.stack()
    await db.as_operator(OUT, stack)
    assert len(await db.as_person("select from stack_agents")) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person("delete from stack_agents")
    reader = {"role": "operator", "read_only": True}
    assert await db.as_person("delete from stack_agents returning 1", role="authenticated", app=reader) == []


async def test_a_deleted_stack_takes_its_team_along(db):
    stack = await db.stack()
    await db.as_operator(OUT, stack)
    await db.as_operator("delete from agent_stacks where id = $1", stack)
    assert await db.one("select count(*) from stack_agents") == 0
