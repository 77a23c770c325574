"""A row in somebody's open transaction makes a stack busy, or an item taken; no verb waits for it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import asyncpg
import pytest

from minibase.postgres.endpoint import Login


@asynccontextmanager
async def open_transaction(db, *statements):
    """Somebody who did this and has not made up their mind; ends with a rollback."""
    connection = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    transaction = connection.transaction()
    await transaction.start()
    for sql, *args in statements:
        await connection.execute(sql, *args)
    yield
    await transaction.rollback()
    await connection.close()


@pytest.fixture
async def impatient(db):
    """Waiting for a lock is an error."""
    await db.machine.execute("set lock_timeout = '500ms'")
    return db


async def letter(db):
    """A message from one stack to another, and the claim of its reader."""
    sender, reader = await db.stack("Sender", "idle"), await db.stack("Reader")
    message = await db.one(
        "insert into messages (from_stack_id, to_stack_id, content, message_type) "
        "values ($1, $2, 'hi', 'direct') returning id",
        sender,
        reader,
    )
    [claimed] = await db.claim()
    return sender, str(message), claimed


async def test_a_commit_that_reads_a_message_whose_sender_is_being_deleted_is_busy(impatient):
    db = impatient
    sender, message, claimed = await letter(db)
    run = await db.begin(claimed, agent="communicator", item={"kind": "message", "ids": [message]})
    read = run | {"changes": [{"op": "mark_read", "message_ids": [message]}]}
    async with open_transaction(db, ("delete from agent_stacks where id = $1", sender)):
        for outcome in (read, run | {"status": "failed", "error": "no"}):
            assert (await db.commit(outcome))["verdicts"] == {run["run_id"]: "busy"}
    assert (await db.commit(read))["verdicts"] == {run["run_id"]: "done"}
    assert await db.one("select status from message_reads") == "read"


async def test_a_begin_for_a_message_whose_sender_is_being_deleted_does_not_get_it(impatient):
    db = impatient
    sender, message, claimed = await letter(db)
    item = {"kind": "message", "ids": [message]}
    async with open_transaction(db, ("delete from agent_stacks where id = $1", sender)):
        assert (await db.begin(claimed, item=item))["answer"]["verdict"] == "taken"
    assert (await db.begin(claimed, item=item))["answer"]["verdict"] == "begun"


@pytest.mark.parametrize("kind", ["todo", "visitor", "message"])
async def test_a_dead_daemons_stack_is_not_claimed_while_somebody_holds_what_its_runs_own(impatient, kind):
    db = impatient
    await db.set_clock("2026-01-01 12:00:00+00")
    sender, message, claimed = await letter(db)
    stack = claimed["stack_id"]
    if kind == "todo":
        item = await db.one("insert into todos (stack_id, content) values ($1, 'x') returning id", stack)
        held = ("select from todos for update",)
    elif kind == "visitor":
        item = await db.one("insert into user_messages (stack_id, content) values ($1, 'x') returning id", stack)
        held = ("select from user_messages for update",)
    else:
        item, held = message, ("delete from agent_stacks where id = $1", sender)
    await db.begin(claimed, item={"kind": kind, "ids": [str(item)]})
    await db.pass_time(60)
    ends = await db.stack("Ends")
    [other] = await db.claim(stack_id=str(ends))
    settlement = {key: other[key] for key in ("stack_id", "fence", "wakes")} | {"due_in_ms": None, "wait_reason": None}
    async with open_transaction(db, held):
        assert await db.claim() == []
        commit = {"settlements": (settlement,), "cadence_ms": 10000, "claim": {"max": 1, "lease_ms": 15000}}
        assert (await db.commit(**commit))["claimed"]["stacks"] == []
    assert [again["stack_id"] for again in await db.claim()] == [stack]
    assert await db.one("select status from agent_executions") == "abandoned"
