"""The stacks that play while something is measured, and the SQL prompt that makes and moves them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg

IDEAS = (
    ("Focus timer", "A timer that alternates work and rest and counts the rounds."),
    ("Phrase flashcards", "Flashcards with phrases for a weekend abroad."),
    ("Unit converter", "Converts cups, spoons and grams while you cook."),
    ("Reading list", "A list of books to read, with notes and ratings."),
    ("Habit tracker", "Tracks habits by the day and shows streaks."),
)
EVERY_S = 1.0
WARM_S = 180.0


class Fleet:
    """`size` stacks at play: as projects complete and their stacks fall idle, new ones take their place."""

    def __init__(self, pool: asyncpg.Pool, size: int) -> None:
        self._pool = pool
        self._size = size
        self._made = 0
        self.playing: list[int] = []

    async def warm_up(self) -> None:
        """Return once every stack has written a trace."""
        await self._top_up()
        async with asyncio.timeout(WARM_S):
            while await self._silent():  # noqa: ASYNC110 - what it waits for is in the database
                await asyncio.sleep(EVERY_S)

    async def keep_playing(self) -> None:
        """Keep the number up, and note it, until cancelled."""
        while True:
            self.playing.append(await self._top_up())
            await asyncio.sleep(EVERY_S)

    async def one_at_work(self, number: int) -> UUID:
        """A stack of the fleet that plays now; another one for each number."""
        found = await self._pool.fetch(
            "select id from agent_stacks where participant_name like 'Fleet %' and execution_state = 'running'"
            " order by created_at desc, id"
        )
        chosen: UUID = found[number % len(found)]["id"]
        return chosen

    async def _silent(self) -> int:
        silent: int = await self._pool.fetchval(
            "select count(*) from agent_stacks a where participant_name like 'Fleet %' and execution_state = 'running'"
            " and not exists (select from agent_traces t where t.stack_id = a.id)"
        )
        return silent

    async def _top_up(self) -> int:
        playing: int = await self._pool.fetchval(  # those that somebody holds for a while go on afterwards
            "select count(*) from agent_stacks where participant_name like 'Fleet %' and execution_state <> 'idle'"
        )
        for _ in range(self._size - playing):
            self._made += 1
            await make_stack(self._pool, f"Fleet {self._made:04}", number=self._made, state="running")
        return playing


async def make_stack(pool: asyncpg.Pool, name: str, *, number: int, state: str = "idle") -> UUID:
    """A stack with an idea."""
    title, description = IDEAS[number % len(IDEAS)]
    async with pool.acquire() as connection, connection.transaction():
        made: UUID = await connection.fetchval(
            "insert into agent_stacks (participant_name, execution_state) values ($1, $2) returning id", name, state
        )
        await connection.execute(
            "insert into project_ideas (stack_id, title, description) values ($1, $2, $3)", made, title, description
        )
    return made


async def move(pool: asyncpg.Pool, stack: UUID, state: str) -> None:
    """The plain UPDATE by which anybody plays, pauses and stops."""
    await pool.execute("update agent_stacks set execution_state = $2 where id = $1", stack, state)


async def first_run(pool: asyncpg.Pool, stack: UUID) -> asyncpg.Record:
    """When the first trace was written, when its run began, and how long its model took in milliseconds."""
    row: Any = await pool.fetchrow(
        "select t.created_at, e.started_at, (select sum(latency_ms) from llm_calls c where c.run_id = e.id) as model_ms"
        " from agent_traces t join agent_executions e on e.id = t.run_id where t.stack_id = $1 order by t.id limit 1",
        stack,
    )
    return row
