"""A database with our migrations: made once a session, cloned for each test; callers as the API would make them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from anyio.from_thread import start_blocking_portal

from agents.snapshot import Snapshot, Surroundings
from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.server import Server

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"


async def _migrate(endpoint: Endpoint) -> Endpoint:
    clone = await clone_database(endpoint, "stackbeat_schema")
    connection = await asyncpg.connect(clone.dsn(Login.OWNER))
    for file in sorted(MIGRATIONS.glob("*.sql")):
        await connection.execute(file.read_text())
    await connection.close()
    return clone


@pytest.fixture(scope="session")
def schema(server: Server) -> Iterator[Endpoint]:
    """The migrated database that tests clone."""
    with start_blocking_portal() as portal:
        clone = portal.call(_migrate, server.endpoint)
        yield clone
        portal.call(drop_database, clone)


def read_snapshot(own: dict[str, Any], around: dict[str, Any]) -> dict[str, Any]:
    """A stack's own part and what it sees of the surroundings, in one, as the daemon's agents see it."""
    return Snapshot.read(own, Surroundings.model_validate(around)).model_dump(mode="json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One test's database, seen by the roles of the API."""

    endpoint: Endpoint
    machine: asyncpg.Connection  # service_role
    admin: asyncpg.Connection  # a SQL editor

    async def verb(self, verb: str, /, **request: Any) -> dict[str, Any]:
        """Call a machine verb as the daemon does: its own transaction, as service_role."""
        body = orjson.dumps({"v": 2, **request}).decode()
        async with self.machine.transaction():
            await self.machine.execute("set local role service_role")
            await self.machine.execute("""select set_config('request.jwt.claims', '{"role":"service_role"}', true)""")
            return orjson.loads(await self.machine.fetchval(f"select public.{verb}($1::jsonb)", body))

    async def as_person(self, sql: str, *args: Any, role: str = "anon", app: dict[str, Any] | None = None) -> list[Any]:
        """Run one statement as PostgREST would for a visitor (anon) or a signed-in user with this app_metadata."""
        connection = await asyncpg.connect(self.endpoint.dsn(Login.API))
        try:
            async with connection.transaction():
                claims = orjson.dumps({"role": role, "sub": str(uuid.uuid4()), "app_metadata": app or {}}).decode()
                await connection.fetchval("select set_config('request.jwt.claims', $1, true)", claims)
                await connection.execute(f"set local role {role}")
                return list(await connection.fetch(sql, *args))
        finally:
            await connection.close()

    async def as_operator(self, sql: str, *args: Any) -> list[Any]:
        return await self.as_person(sql, *args, role="authenticated", app={"role": "operator"})

    async def stack(self, name: str = "Owls", state: str = "running", **columns: Any) -> uuid.UUID:
        """A new stack, by an operator of the SQL editor."""
        names = ["participant_name", "execution_state", *columns]
        values = ", ".join(f"${n}" for n in range(1, len(names) + 1))
        return await self.admin.fetchval(
            f"insert into agent_stacks ({', '.join(names)}) values ({values}) returning id",
            name,
            state,
            *columns.values(),
        )

    async def claim(self, worker: uuid.UUID | None = None, **request: Any) -> list[dict[str, Any]]:
        answer = await self.verb(
            "claim_due_stacks",
            **{"worker": worker or uuid.uuid4(), "max": 100, "lease_ms": 15000, "cadence_ms": 10000, **request},
        )
        return [
            stack | {"snapshot": read_snapshot(stack["snapshot"], answer["surroundings"])} for stack in answer["stacks"]
        ]

    async def begin(self, claimed: dict[str, Any], agent: str = "builder", **run: Any) -> dict[str, Any]:
        """Begin one run on a claimed stack: the request's run, with the database's answer under "answer"."""
        run = {
            "run_id": str(uuid.uuid4()),
            "stack_id": claimed["stack_id"],
            "fence": claimed["fence"],
            "agent": agent,
            "priority": 5,
            "reason": "a reason",
            "key": "key",
            "work_at": None,
            "item": None,
            "needs_artifact": False,
            **run,
        }
        answer = await self.verb("begin_runs", worker=str(uuid.uuid4()), runs=[run])
        return {**run, "answer": answer["runs"][0]}

    async def commit(
        self, *runs: dict[str, Any], settlements: tuple[dict[str, Any], ...] = (), **more: Any
    ) -> dict[str, Any]:
        """Commit runs; each is a begun run plus what changed. The answer's verdicts are keyed by run and stack."""
        outcomes = [
            {"status": "completed", "error": None, "calls": [], "changes": [], "trace": None, "context": None}
            | {"simulated": True, "retry_ms": None}
            | {key: value for key, value in run.items() if key != "answer"}
            for run in runs
        ]
        request = {"worker": str(uuid.uuid4()), "runs": outcomes, "settlements": settlements, **more}
        answer = await self.verb("commit_runs", **request)
        return answer | {
            "verdicts": {r["run_id"]: r["verdict"] for r in answer["runs"]},
            "settled": {s["stack_id"]: s["verdict"] for s in answer["settled"]},
        }

    async def set_clock(self, at: str) -> None:
        """Set the database's time; from then on it stands still."""
        await self.admin.execute("create table if not exists internal.test_clock (at timestamptz)")
        await self.admin.execute("grant select on internal.test_clock to public")
        await self.admin.execute("truncate internal.test_clock")
        await self.admin.execute(f"insert into internal.test_clock values ('{at}')")

    async def pass_time(self, seconds: float) -> None:
        await self.admin.execute("update internal.test_clock set at = at + make_interval(secs => $1)", float(seconds))

    async def one(self, sql: str, *args: Any) -> Any:
        return await self.admin.fetchval(sql, *args)


@pytest.fixture
async def db(schema: Endpoint) -> AsyncIterator[Database]:
    clone = await clone_database(schema, f"story_{uuid.uuid4().hex[:12]}")
    machine = await asyncpg.connect(clone.dsn(Login.API))
    admin = await asyncpg.connect(clone.dsn(Login.OWNER))
    yield Database(endpoint=clone, machine=machine, admin=admin)
    await machine.close()
    await admin.close()
    await drop_database(clone)
