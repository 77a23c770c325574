"""The same job without an orchestrator, as the yardstick: straight through the driver, an agent after the other.

No lease, no fence, no run row, no ledger, no API between: each agent of a stack makes four selects, asks the model and
writes its four rows in one transaction of its own. What a bench of ours costs beyond this is the price of those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import orjson

from orchestrator.bench.agents import NAMES
from orchestrator.bench.model import LINE, CannedModel
from orchestrator.llm.values import Request, Turn

POOL = 16
READS = (
    "select id, participant_name, phase, execution_state, priority, cadence_s, created_at, started_at"
    " from agent_stacks where id = $1",
    "select id, content, status, priority, assigned_to, assigned_by, attempts, available_at, last_error, created_at"
    " from todos where stack_id = $1 and status in ('pending', 'in_progress', 'failed')"
    " order by priority desc, created_at limit 10",
    "select id, from_stack_id, content, message_type, hop, created_at from messages"
    " where (to_stack_id = $1 or message_type = 'broadcast') and from_stack_id is distinct from $1"
    " order by created_at desc limit 10",
    "select memory, inbox, current_context, last_run_at from agent_states where stack_id = $1 and agent_type = $2",
)
TRACE = (
    "insert into agent_traces (stack_id, agent_type, thought, action, result, simulated, run_id)"
    " values ($1, $2, $3, 'bench', $4, true, $5)"
)
MEMORY = (
    "insert into agent_states (stack_id, agent_type, memory) values ($1, $2, $3) on conflict (stack_id, agent_type)"
    " do update set memory = agent_states.memory || excluded.memory, updated_at = now()"
)
TODO = "insert into todos (stack_id, content, priority, assigned_to, assigned_by) values ($1, $2, 3, 'builder', $3)"
MESSAGE = (
    "insert into messages (from_stack_id, from_agent_type, content, message_type, simulated, run_id)"
    " values ($1, $2, $3, 'broadcast', true, $4)"
)
REQUEST = Request(
    role="bench",
    tier="small",
    turns=(Turn(role="user", content="Go on."),),
    schema={},
    temperature=0.0,
    max_output_tokens=100,
    timeout_s=60.0,
    ask_hash="",
)


@asynccontextmanager
async def open_pool(db_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Sixteen connections, warm, and not reset between two uses.

    The triggers that keep people's rules let them pass, as they do for the machine.
    """

    async def leave(_: asyncpg.Connection) -> None:
        pass

    settings = {"stackbeat.machine": "on"}
    async with asyncpg.create_pool(db_url, min_size=POOL, max_size=POOL, server_settings=settings, reset=leave) as pool:
        yield pool


async def play_plain(
    pool: asyncpg.Pool, ids: Sequence[UUID], model: CannedModel, *, cycles: int, parallel: bool
) -> None:
    """Play every stack's agents ``cycles`` times, in order or (``parallel``) all four together."""

    async def play(stack: UUID) -> None:
        for _ in range(cycles):
            if parallel:
                async with anyio.create_task_group() as group:
                    for agent in NAMES:
                        group.start_soon(_turn, pool, stack, agent, model)
            else:
                for agent in NAMES:
                    await _turn(pool, stack, agent, model)

    async with anyio.create_task_group() as stacks:
        for stack in ids:
            stacks.start_soon(play, stack)


async def _turn(pool: asyncpg.Pool, stack: UUID, agent: str, model: CannedModel) -> None:
    async with pool.acquire() as connection:
        for read in READS[:3]:
            await connection.fetch(read, stack)
        memory: Any = await connection.fetchrow(READS[3], stack, agent)
    done = 0 if memory is None else int(orjson.loads(memory["memory"]).get("rounds", 0))
    await model.complete(REQUEST)
    line, run = f"{agent} {done + 1}: {LINE}", uuid4()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(TRACE, stack, agent, LINE, f'{{"round": {done + 1}}}', run)
        await connection.execute(MEMORY, stack, agent, f'{{"rounds": {done + 1}}}')
        await connection.execute(TODO, stack, line, agent)
        await connection.execute(MESSAGE, stack, agent, line, run)
