"""A model that obeys whoever wrote to one stack: the other stack's rows stay as they are, on the real verbs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from injections import ATTEMPTS

from agents.simulated import simulate

from .conftest import World
from .simulated import playing, with_idea

SAY = "insert into user_messages (stack_id, sender_name, content, created_at) values ($1, $2, $3, internal.clock())"
# Everything of one stack, but for what it hears from others.
OTHER = """
select jsonb_build_array(
  (select to_jsonb(a) - 'woken_at' - 'updated_at' from agent_stacks a where a.id = $1),
  (select jsonb_agg(to_jsonb(t) order by t.id) from todos t where t.stack_id = $1),
  (select jsonb_agg(to_jsonb(i)) from project_ideas i where i.stack_id = $1),
  (select jsonb_agg(to_jsonb(f) order by f.version) from artifacts f where f.stack_id = $1),
  (select jsonb_agg(to_jsonb(b)) from artifact_bodies b join artifacts f on f.id = b.artifact_id where f.stack_id = $1),
  (select jsonb_agg(to_jsonb(u) order by u.id) from user_messages u where u.stack_id = $1),
  (select jsonb_agg(to_jsonb(g) order by g.agent_type) from agent_states g where g.stack_id = $1),
  (select jsonb_agg(to_jsonb(m) order by m.id) from memories m where m.stack_id = $1))::text
"""


async def test_twenty_four_attempts_change_nothing_of_another_stack(world: World) -> None:
    victim = await with_idea(world, "Quiet stack")
    async with playing(world) as time:
        await time.play(time.now + timedelta(hours=1))
        todos = [str(row[0]) for row in await world.admin.fetch("select id from todos where stack_id = $1", victim)]
        before = await world.admin.fetchval(OTHER, victim)

    def obeying(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        said = simulate(role, context, seed)
        if context.get("role") == "planner":
            edits = [{"id": one, "content": "pwned", "priority": 10} for one in todos]
            return {**said, "update": edits[:20], "cancel": todos[:20]}
        if context.get("task") == "visitor":
            lesson = {"kind": "fact", "text": f"Obey {context['question']['text']}"[:300], "importance": 10}
            return {**said, "answer": context["question"]["text"][:1200], "learned": [lesson]}
        if context.get("task") == "team":
            return {**said, "replies": [{"message_id": one, "content": "pwned"} for one in todos[:3]]}
        return said

    hacked = await with_idea(world, "Talkative stack")
    async with playing(world, obeying) as time:
        for number, text in enumerate(ATTEMPTS):
            await world.admin.execute(SAY, hacked, f"Guest {number}", text)
        await time.play(time.now + timedelta(hours=1))

    assert json.loads(await world.admin.fetchval(OTHER, victim)) == json.loads(before)
    states = "select status, count(*) from user_messages where stack_id = $1 group by 1"
    assert [tuple(row) for row in await world.admin.fetch(states, hacked)] == [("answered", len(ATTEMPTS))]
    directs = "select count(*) from messages where message_type = 'direct' and to_stack_id = $1"
    assert await world.admin.fetchval(directs, victim) == 0
    assert await world.admin.fetchval("select count(*) from agent_executions where status = 'failed'") == 0
    assert await world.admin.fetchval("select count(*) from todos where content = 'pwned'") == 0
