"""What a verb costs does not grow with the tables: plans made while they were empty must serve when they are full."""

from __future__ import annotations

import uuid

ROWS = 2_000
HISTORY = (
    "insert into messages (from_stack_id, from_agent_type, to_stack_id, content, message_type)"
    " select $1, 'planner', $1, 'Line ' || n, 'direct' from generate_series(1, $2::integer) n",
    "insert into agent_executions (id, stack_id, agent_type, worker_id, fence, status, priority, reason, work_key)"
    " select gen_random_uuid(), $1, 'planner', gen_random_uuid(), 1, 'completed', 5, 'r', 'k' || n"
    " from generate_series(1, $2::integer) n",
    "insert into agent_states (stack_id, agent_type, memory)"
    " select $1, 'agent_' || n, '{\"a\": 1}' from generate_series(1, $2::integer) n",
    "insert into todos (stack_id, content) select $1, 'Todo ' || n from generate_series(1, $2::integer) n",
    "insert into llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model)"
    " select gen_random_uuid(), gen_random_uuid(), $1, 'planner', 1, 'groq', 'm' from generate_series(1, $2::integer)",
)


async def _round(db, number: int) -> None:
    """All that the verbs do for one run of the usual kind."""
    (claimed,) = await db.claim()
    run = await db.begin(claimed, "planner", key=f"round {number}")
    call = {
        "id": str(uuid.uuid4()), "attempt": 1, "provider": "groq", "model": "m", "tokens_in": 10, "tokens_out": 5,
        "cost_usd": "0.01", "finish_reason": "stop", "simulated": True,
    }  # fmt: skip
    changes = [
        {"op": "remember", "set": {"rounds": number}},
        {"op": "add_todo", "content": "One more", "priority": 3, "assigned_to": "builder"},
        {"op": "send_message", "content": "Hello all"},
    ]
    trace = {"thought": "t", "action": "a", "result": {}}
    settlement = {key: claimed[key] for key in ("stack_id", "fence", "wakes")} | {"due_in_ms": 0, "wait_reason": None}
    done = await db.commit(run | {"changes": changes, "calls": [call], "trace": trace}, settlements=(settlement,))
    assert done["verdicts"] == {run["run_id"]: "done"}


async def _read_whole(db) -> dict[str, int]:
    """How many rows of each table the verbs have passed by reading it from its beginning."""
    await db.machine.execute("select pg_stat_force_next_flush()")
    rows = await db.admin.fetch("select relname, seq_tup_read from pg_stat_user_tables where schemaname = 'public'")
    return {row["relname"]: row["seq_tup_read"] for row in rows}


async def test_plans_made_on_empty_tables_do_not_read_full_ones_whole(db):
    await db.stack()
    await _round(db, 1)
    history = await db.stack("History", state="idle")
    for sql in HISTORY:
        await db.admin.execute(sql, history, ROWS)
    await db.admin.execute("select pg_stat_force_next_flush()")

    before = await _read_whole(db)
    await _round(db, 2)
    after = await _read_whole(db)

    read = {table: rows - before[table] for table, rows in after.items() if rows - before[table] >= ROWS}
    assert read == {}
