"""A migrated database behind the real API, or the Supabase that was given; a daemon in the test's own process, and
scripted agents and models.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import asyncpg
import pytest
from anyio.from_thread import start_blocking_portal
from given import GIVEN, Given
from pydantic import BaseModel

from agents.agent import Agent
from agents.ask import Ask
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Work
from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.server import Server
from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.facts import Fact, tell
from orchestrator.llm.values import Provider, Reply, Request, Tier
from orchestrator.monitor.endpoints import Monitor

MIGRATIONS = Path(__file__).parents[3] / "supabase" / "migrations"
PATIENCE_S = 40.0


async def _migrate(endpoint: Endpoint) -> Endpoint:
    clone = await clone_database(endpoint, "orchestrator_schema")
    connection = await asyncpg.connect(clone.dsn(Login.OWNER))
    for file in sorted(MIGRATIONS.glob("*.sql")):
        await connection.execute(file.read_text())
    await connection.close()
    return clone


@pytest.fixture(scope="session")
def migrated(server: Server) -> Iterator[Endpoint]:
    with start_blocking_portal() as portal:
        clone = portal.call(_migrate, server.endpoint)
        yield clone
        portal.call(drop_database, clone)


class Word(BaseModel):
    word: str


@dataclass(frozen=True, kw_only=True)
class Talker:
    """Has work until it has written ``turns`` traces; each turn remembers the reply and counts."""

    name: str = "planner"
    turns: int = 1
    urgent: bool = True
    needs_artifact: bool = False
    excludes: frozenset[str] = frozenset()
    on_ask: Callable[[], None] = lambda: None

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        done = int(snapshot.agent(self.name).memory.get("turns", 0))
        if done >= self.turns:
            return Agenda()
        work = Work(agent=self.name, priority=5, reason="to talk", key=f"talk:{done}", at=now, urgent=self.urgent)
        return Agenda(work=(work,))

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        self.on_ask()
        return Ask(
            system="s", user="u\n```json\n{}\n```", output=Word, temperature=0, max_output_tokens=9, tier="small"
        )

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        from agents.changes import Remember

        done = int(snapshot.agent(self.name).memory.get("turns", 0))
        return Outcome(thought=reply.word, action="talk", changes=(Remember(set={"turns": done + 1}),))


@dataclass(kw_only=True)
class Model:
    """An in-process model; ``think`` may block, fail or answer."""

    think: Callable[[], Awaitable[str]]
    name: str = "scripted"
    simulated: bool = True
    timeout_s: float = 30.0
    calls: int = 0

    def model(self, tier: Tier, role: str) -> str:
        return f"scripted-{tier}"

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        return Reply(text=f'{{"word": "{await self.think()}"}}', finish_reason="stop", tokens_in=10, tokens_out=5)


def answering(word: str = "hello") -> Model:
    async def think() -> str:
        return word

    return Model(think=think)


@dataclass(kw_only=True)
class World:
    url: str
    key: str
    public_key: str
    dsn: str
    admin: asyncpg.Connection
    database: Endpoint | None = None  # where the tests have made it
    facts: list[Fact] = field(default_factory=list)

    def config(self, **settings: Any) -> Config:
        base = {"supabase_url": self.url, "service_key": self.key, "lease_s": 2, "heartbeat_s": 0.3, "grace_s": 2}
        return Config.build({**base, **settings})

    async def stack(self, name: str = "Owls", *, state: str = "running") -> UUID:
        sql = "insert into public.agent_stacks (participant_name, execution_state) values ($1, $2) returning id"
        return UUID(str(await self.admin.fetchval(sql, name, state)))

    async def move(self, stack: UUID, state: str) -> None:
        await self.admin.execute("update public.agent_stacks set execution_state = $2 where id = $1", stack, state)

    async def until(self, sql: str, *args: Any, within_s: float = PATIENCE_S) -> Any:
        """Wait until a query's single value is true; returns it."""
        with anyio.move_on_after(within_s):
            while True:
                if value := await self.admin.fetchval(sql, *args):
                    return value
                await anyio.sleep(0.02)
        raise AssertionError(f"not within {within_s:g} s: {sql}; facts: {self.facts[-20:]}")

    async def until_fact(self, kind: type[Fact], within_s: float = PATIENCE_S) -> None:
        with anyio.fail_after(within_s):
            while True:
                if any(isinstance(fact, kind) for fact in self.facts):
                    return
                await anyio.sleep(0.02)

    @asynccontextmanager
    async def daemon(
        self,
        agents: Sequence[Agent] | None = None,
        providers: Sequence[Provider] | None = None,
        *,
        monitor: Monitor | None = None,
        **settings: Any,
    ) -> AsyncIterator[None]:
        """A daemon for the length of the block, drained at its end."""
        named: Mapping[str, Agent] | None = None if agents is None else {agent.name: agent for agent in agents}
        config = self.config(**settings)
        monitor = Monitor(config) if monitor is None else monitor
        observer = tell(self.facts.append, monitor.observe)

        async def run() -> None:
            await run_daemon(config, observer=observer, agents=named, providers=providers, watch=monitor.watch)

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            yield
            group.cancel_scope.cancel()


@asynccontextmanager
async def _on_clone(serve_api: Any, migrated: Endpoint) -> AsyncIterator[World]:
    database = await clone_database(migrated, f"world_{id(migrated)}")
    try:
        async with serve_api(database=database) as api, _connected(database.dsn(Login.OWNER)) as admin:
            yield World(
                url=api.url,
                key=api.secrets.secret_key,
                public_key=api.secrets.publishable_key,
                dsn=database.dsn(Login.OWNER),
                admin=admin,
                database=database,
            )
    finally:
        await drop_database(database)


@asynccontextmanager
async def _on_given(given: Given) -> AsyncIterator[World]:
    await anyio.to_thread.run_sync(partial(given.renew, seeded=False))
    async with _connected(given.db_url) as admin:
        yield World(
            url=given.api_url, key=given.service_key, public_key=given.publishable_key, dsn=given.db_url, admin=admin
        )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


if GIVEN is None:

    @pytest.fixture
    async def world(serve_api: Any, migrated: Endpoint) -> AsyncIterator[World]:
        async with _on_clone(serve_api, migrated) as made:
            yield made

else:

    @pytest.fixture
    async def world() -> AsyncIterator[World]:
        async with _on_given(GIVEN) as made:
            yield made
