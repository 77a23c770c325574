"""A reply that reached the database answers the next run that asks the same; a lost worker's call leaves its row."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

ASKED = "a" * 64


def call(**fields: Any) -> dict[str, Any]:
    base = {"id": str(uuid.uuid4()), "attempt": 1, "provider": "groq", "model": "m", "tokens_in": 10, "tokens_out": 5}
    base |= {"cost_usd": 0.001, "finish_reason": "stop", "simulated": False, "ask_hash": ASKED, "reply": "{}"}
    return base | fields


async def begun(db, agent: str = "planner", **run: Any) -> dict[str, Any]:
    (claimed,) = await db.claim()
    return await db.begin(claimed, agent, key="backlog", **run)


async def taken_over(db, run: dict[str, Any], *calls: dict[str, Any]) -> None:
    """The lease of this run's worker ends, another daemon claims, and then the late outcome arrives."""
    await db.pass_time(16)
    (claimed,) = await db.claim()
    late = await db.commit(run | {"calls": list(calls)})
    assert late["verdicts"] == {run["run_id"]: "stale"}
    await db.commit(settlements=({k: claimed[k] for k in ("stack_id", "fence", "wakes")} | {"due_in_ms": 0},))


async def test_the_next_run_of_the_same_work_is_handed_the_reply_that_came_too_late(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    paid = call(reply='{"x": 1}')
    await taken_over(db, await begun(db), call(error="groq 503", reply=None), paid)
    again = await begun(db)
    assert again["answer"]["kept"] == [
        {"call_id": paid["id"], "ask_hash": ASKED, "simulated": False, "body": '{"x": 1}'}
    ]
    await db.commit(again | {"reply_of": paid["id"]})
    assert str(await db.one("select reply_of from agent_executions where status = 'completed'")) == paid["id"]


async def test_a_reply_serves_once(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    paid = call()
    await taken_over(db, await begun(db), paid)
    (claimed,) = await db.claim()
    first = await db.begin(claimed, "planner", key="backlog")
    await db.commit(first | {"reply_of": paid["id"]})
    second = await db.begin(claimed, "planner", key="backlog")
    assert second["answer"]["kept"] is None


@pytest.mark.parametrize(
    "other",
    [{"agent": "reviewer"}, {"key": "idea"}],
    ids=["another agent", "another work"],
)
async def test_other_work_is_handed_nothing(db, other):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    await taken_over(db, await begun(db), call())
    (claimed,) = await db.claim()
    run = await db.begin(claimed, **({"agent": "planner", "key": "backlog"} | other))
    assert run["answer"]["verdict"] == "begun"
    assert run["answer"]["kept"] is None


@pytest.mark.parametrize(
    "fields",
    [{"finish_reason": "length"}, {"error": "cancelled"}, {"reply": None}, {"ask_hash": None}],
    ids=["cut off", "failed", "nothing came", "nobody knows the question"],
)
async def test_only_whole_replies_are_kept(db, fields):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    await taken_over(db, await begun(db), call(**fields))
    assert (await begun(db))["answer"]["kept"] is None


async def test_a_reply_that_met_a_stop_is_there_after_play(db):
    await db.stack()
    run = await begun(db)
    await db.admin.execute("update agent_stacks set execution_state = 'stopped'")
    await db.commit(run | {"calls": [call()]})
    await db.admin.execute("update agent_stacks set execution_state = 'running'")
    assert len((await begun(db))["answer"]["kept"]) == 1


async def test_a_lost_workers_call_stands_in_the_ledger_until_it_is_reported(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    run = await begun(db)
    await db.pass_time(16)
    await db.claim()
    assert str(await db.one("select id from llm_calls where error like 'lost%'")) == run["run_id"]
    paid = call()
    await db.commit(run | {"calls": [paid]})
    assert [str(row["id"]) for row in await db.admin.fetch("select id from llm_calls")] == [paid["id"]]


async def test_a_team_message_that_failed_is_retried_by_an_update(db):
    stack, sender = await db.stack(), await db.stack("Boats", "idle")
    insert = "insert into messages (from_stack_id, to_stack_id, content, message_type) values ($1, $2, 'hi', 'direct')"
    await db.admin.execute(insert, sender, stack)
    await db.admin.execute(
        "insert into message_reads (message_id, stack_id, status, attempts) select id, $1, 'failed', 3 from messages",
        stack,
    )
    (claimed,) = await db.claim()
    assert claimed["snapshot"]["team_messages"] == []
    settled = {k: claimed[k] for k in ("stack_id", "fence", "wakes")} | {"due_in_ms": None}
    await db.commit(settlements=(settled,))
    await db.as_person("update message_reads set status = 'waiting'", role="authenticated")
    assert await db.claim() == []
    await db.as_operator("update message_reads set status = 'waiting'")
    (woken,) = await db.claim()
    assert [m["attempts"] for m in woken["snapshot"]["team_messages"]] == [0]
