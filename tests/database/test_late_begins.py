"""A begin that is delivered late, or once more: it may begin nothing, or what its cycle's end takes back."""

from __future__ import annotations

import uuid

import asyncpg

from minibase.postgres.endpoint import Login


def settlement(claimed):
    return {"stack_id": claimed["stack_id"], "fence": claimed["fence"], "wakes": claimed["wakes"], "due_in_ms": 5000}


async def todo_of(db, stack):
    return await db.one("insert into todos (stack_id, content) values ($1, 'build it') returning id", stack)


async def run_beside(db, claimed, todo):
    """A run the worker knows of, and one that a late delivery began."""
    known = await db.begin(claimed, "communicator")
    phantom = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    assert phantom["answer"]["verdict"] == "begun"
    return known, phantom


async def test_a_begin_that_arrives_after_its_cycle_settled_begins_nothing(db):
    stack = await db.stack()
    await todo_of(db, stack)
    [claimed] = await db.claim()
    await db.commit(settlements=(settlement(claimed),))
    late = await db.begin(claimed, item={"kind": "todo", "ids": [str(await db.one("select id from todos"))]})
    assert late["answer"]["verdict"] == "stale"
    assert await db.one("select status from todos") == "pending"


async def test_the_settlement_ends_a_run_its_worker_does_not_know_of(db):
    """It was told `taken`, and the same begin, delivered once more, found the todo waiting again."""
    todo = await todo_of(db, await db.stack())
    [claimed] = await db.claim()
    known, phantom = await run_beside(db, claimed, todo)
    answer = await db.commit(known, settlements=(settlement(claimed),))
    assert (answer["verdicts"], answer["settled"]) == ({known["run_id"]: "done"}, {claimed["stack_id"]: "done"})
    assert await db.one("select (status, run_id, attempts)::text from todos") == "(pending,,0)"
    assert await db.one("select status from agent_executions where id = $1", uuid.UUID(phantom["run_id"])) == "stale"
    assert await db.one("select activity::text from stack_status") == "{}"
    assert await db.one("select count(*) from llm_calls") == 0, "nobody asked a model for it"
    assert await db.one("select count(*) from stack_schedule where lease_owner is not null") == 0


async def test_what_a_phantom_reserved_comes_back_at_once(db):
    await db.admin.execute("insert into model_limits (provider, model, tokens_per_minute) values ('groq', 'm', 1000)")
    todo = await todo_of(db, await db.stack())
    [claimed] = await db.claim()
    offers = [{"provider": "groq", "model": "m", "tokens": 600, "usd": 0}]
    phantom = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]}, offers=offers)
    assert phantom["answer"]["verdict"] == "begun"
    await db.commit(settlements=(settlement(claimed),))
    assert await db.one("select level from internal.quota where kind = 'tokens per minute'") >= 1000


async def test_a_phantom_whose_todo_somebody_holds_waits_with_its_cycle(db):
    todo = await todo_of(db, await db.stack())
    [claimed] = await db.claim()
    known, _ = await run_beside(db, claimed, todo)
    person = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    async with person.transaction():
        await person.execute("update todos set priority = 9")
        answer = await db.commit(known, settlements=(settlement(claimed),))
        assert (answer["verdicts"], answer["settled"]) == ({known["run_id"]: "busy"}, {claimed["stack_id"]: "busy"})
    await person.close()
    answer = await db.commit(known, settlements=(settlement(claimed),))
    assert answer["settled"] == {claimed["stack_id"]: "done"}
    assert await db.one("select (status, priority)::text from todos") == "(pending,9)"
