"""Daemons, visitors and operators write at once: nobody deadlocks, nothing is lost or done twice."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager

import anyio
import asyncpg

from minibase.postgres.endpoint import Login

STACKS = 12
ROUNDS = 15


@asynccontextmanager
async def connected(db, login=Login.API):
    connection = await asyncpg.connect(db.endpoint.dsn(login))
    yield connection
    await connection.close()


async def daemon(db, worker: str, done: list[str]) -> None:
    """Claim, begin and commit for a while, sending again what was busy."""
    async with connected(db) as connection:
        mine = type(db)(endpoint=db.endpoint, machine=connection, admin=db.admin)
        for _ in range(ROUNDS):
            for claimed in await mine.claim(worker, max=4):
                run = await mine.begin(claimed, agent="planner")
                todos = [{"op": "update_todo", "id": t["id"], "priority": 7} for t in claimed["snapshot"]["todos"][:3]]
                others = [n["id"] for n in claimed["snapshot"]["neighbours"][:2]]
                changes = [
                    *todos,
                    {"op": "set_idea", "title": "again", "description": ""},
                    {"op": "add_todo", "content": run["run_id"], "priority": 3, "assigned_to": "builder"},
                    *({"op": "send_message", "to_stack_id": o, "content": "hi", "hop": 0} for o in others),
                ]
                settlement = {"stack_id": claimed["stack_id"], "fence": claimed["fence"], "wakes": claimed["wakes"]}
                settlement |= {"due_in_ms": 0, "wait_reason": None, "wait_ms": None}
                for _ in range(200):
                    answer = await mine.commit(run | {"changes": changes}, settlements=(settlement,))
                    if "busy" not in {*answer["verdicts"].values(), *answer["settled"].values()}:
                        break
                    await anyio.lowlevel.checkpoint()
                if answer["verdicts"][run["run_id"]] == "done":
                    done.append(run["run_id"])


async def editor(db) -> None:
    async with connected(db, Login.OWNER) as connection:
        for n in range(ROUNDS * 3):
            await connection.execute(
                (
                    "update agent_stacks set priority = 10 - priority",
                    "update todos set priority = 5 where status = 'pending'",
                    "update project_ideas set title = 'edited'",
                )[n % 3]
            )


async def visitor(db, stacks: list[uuid.UUID]) -> None:
    for n in range(ROUNDS):
        await db.as_person("insert into user_messages (stack_id, content) values ($1, 'hi')", stacks[n % len(stacks)])


async def test_bulk_updates_chat_and_two_daemons_at_once(db):
    stacks = [await db.stack(f"Stack {n}") for n in range(STACKS)]
    for stack in stacks:
        await db.admin.execute("insert into project_ideas (stack_id, title) values ($1, 'x')", stack)
        await db.admin.execute("insert into todos (stack_id, content) values ($1, 'a'), ($1, 'b'), ($1, 'c')", stack)
    done: list[str] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon, db, str(uuid.uuid4()), done)
            tasks.start_soon(daemon, db, str(uuid.uuid4()), done)
            tasks.start_soon(editor, db)
            tasks.start_soon(visitor, db, stacks)
    assert len(done) > STACKS
    written = await db.admin.fetch("select content from todos where assigned_by = 'planner'")
    assert sorted(r[0] for r in written) == sorted(done)
    assert await db.one("select count(*) from user_messages") == ROUNDS
