"""Fifty stacks that may write to each other, for a day, with a model that answers whatever it may: the brakes hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import asyncpg

from agents.communicator import agent as communicator
from agents.communicator.budget import COOL_DOWN, HOURLY_REPLIES, MAX_HOP
from orchestrator.bench.fake_time import fake_time
from orchestrator.engine import open_engine
from orchestrator.llm.values import Reply, Request, Tier

from .conftest import World

STACKS = 50
HOURS = 24
ROUNDS = (0, 8, 16)  # hours at which everybody announces something
ANNOUNCE = "insert into todos (stack_id, content, assigned_to) select id, 'Tell them', 'communicator' from agent_stacks"
UNREAD = """
select count(*) from messages m left join message_reads r on r.message_id = m.id and r.stack_id = m.to_stack_id
where m.message_type = 'direct' and r.status is distinct from 'read'
"""
BUSIEST = """
select coalesce(max(n), 0) from (
  select count(*) over (
    partition by from_stack_id order by created_at range between '1 hour' preceding and current row) as n
  from messages where message_type = 'direct') x
"""
TOO_SOON = """
select count(*) from messages a join messages b on b.from_stack_id = a.from_stack_id and b.to_stack_id = a.to_stack_id
  and b.created_at > a.created_at and b.created_at < a.created_at + $1::interval
where a.message_type = 'direct' and b.message_type = 'direct'
"""


@dataclass(kw_only=True)
class Chatty:
    """Answers every message it is allowed to, with a question."""

    name: str = "chatty"
    simulated: bool = True
    timeout_s: float = 5.0
    calls: int = 0

    def model(self, tier: Tier, role: str) -> str:
        return "chatty-1"

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        asked = "".join(turn.content for turn in request.turns)
        context = json.loads(asked.split("```json\n")[1].split("\n```")[0])
        if context["task"] == "announce":
            said = {"thinking": "t", "announcement": "Look at us! What do you think?"}
        else:
            open_to = [one["id"] for one in context["messages"] if one["may_answer"]][:3]
            said = {"thinking": "t", "replies": [{"message_id": one, "content": "And you?"} for one in open_to]}
        return Reply(text=json.dumps(said), finish_reason="stop", tokens_in=10, tokens_out=5)


async def announce(database: asyncpg.Connection) -> None:
    await database.execute(ANNOUNCE)


async def test_a_day_of_talk_is_bounded_read_and_never_a_ping_pong(world: World) -> None:
    for number in range(STACKS):
        await world.stack(f"Stack {number}")
    await world.admin.execute("select set_config('stackbeat.machine', 'on', false)")
    await world.admin.execute("update agent_stacks set phase = 'building'")
    await world.admin.execute("select set_config('stackbeat.machine', '', false)")
    model = Chatty()
    engine = open_engine(
        world.config(), agents={"communicator": communicator}, observer=world.facts.append, providers=[model]
    )
    async with engine as opened, fake_time(opened, world.dsn, stage=timedelta(seconds=2)) as time:
        start = time.now
        await world.admin.execute("update agent_stacks set created_at = $1", start - timedelta(hours=1))
        rounds = [(start + timedelta(hours=hour), partial(announce)) for hour in ROUNDS]
        await time.play(start + timedelta(hours=HOURS), rounds)
        quiet = model.calls
        await time.play(time.now + timedelta(hours=1))
        assert model.calls == quiet, "and then there is silence"

    direct, hops = await world.admin.fetchrow("select count(*), max(hop) from messages where message_type = 'direct'")
    busiest = await world.admin.fetchval(BUSIEST)
    print(f"{STACKS} stacks, {HOURS} h: {model.calls} calls, {direct} direct messages, {busiest} at most in an hour")
    assert await world.admin.fetchval("select count(*) from messages where message_type = 'broadcast'") == STACKS * 3
    assert direct > STACKS
    assert busiest <= HOURLY_REPLIES
    assert hops <= MAX_HOP
    assert await world.admin.fetchval(UNREAD) == 0
    assert await world.admin.fetchval(TOO_SOON, COOL_DOWN) == 0
    assert await world.admin.fetchval("select count(*) from agent_executions where status <> 'completed'") == 0
