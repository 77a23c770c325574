"""Promises of the verbs that only show after an accident: a lost answer, a dead worker, a note left behind a lock."""

from __future__ import annotations

import uuid
from typing import Any

import asyncpg

from minibase.postgres.endpoint import Login


def settlement(claimed: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "stack_id": claimed["stack_id"],
        "fence": claimed["fence"],
        "wakes": claimed["wakes"],
        "due_in_ms": 0,
        "wait_reason": None,
        "wait_ms": None,
        **changes,
    }


async def test_a_worker_lost_after_a_late_wake_does_not_take_the_stack_along(db):
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'build') returning id", stack)
    (first,) = await db.claim()
    await db.commit(settlements=(settlement(first, due_in_ms=None),))
    editor = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    async with editor.transaction():
        await editor.execute("select 1 from agent_stacks for no key update")
        await db.as_operator("update todos set content = 'build it' where id = $1", todo)
    await editor.close()
    (claimed,) = await db.claim(lease_ms=1)
    await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    assert await db.one("select status from todos") == "in_progress"
    # The worker dies here; only the lease's end brings the stack back.
    (again,) = await db.claim()
    assert again["fence"] == claimed["fence"] + 1
    assert await db.one("select status from todos") == "pending"


async def test_a_hand_that_lets_go_leaves_a_running_stack_claimable(db):
    stack = await db.stack()
    (first,) = await db.claim()
    await db.commit(settlements=(settlement(first, due_in_ms=None),))
    await db.claim(stack_id=str(stack), max=1, lease_ms=1)
    assert len(await db.claim()) == 1


async def test_a_completed_project_says_so_after_its_last_cycle(db):
    await db.stack()
    (claimed,) = await db.claim()
    run = await db.begin(claimed, agent="planner")
    await db.commit(run | {"changes": [{"op": "set_phase", "phase": "complete"}]}, settlements=(settlement(claimed),))
    assert await db.one("select execution_state from agent_stacks") == "idle"
    assert await db.one("select wait_reason from stack_status") == "the project is complete"
    assert await db.one("select due_at from stack_schedule") is None


async def test_a_settlement_whose_answer_was_lost_counts_one_cycle(db):
    await db.stack()
    (claimed,) = await db.claim()
    run = await db.begin(claimed) | {"status": "failed", "error": "no", "retry_ms": 60_000}
    verdicts = [await db.commit(run, settlements=(settlement(claimed, due_in_ms=60_000),)) for _ in range(2)]
    assert [answer["settled"] for answer in verdicts] == [{claimed["stack_id"]: "done"}] * 2
    assert await db.one("select total_cycles from stack_schedule") == 1
    assert await db.one("select due_at > now() + interval '50 seconds' from stack_schedule")


async def test_every_change_of_a_run_counts_also_two_of_a_kind(db):
    stack = await db.stack()
    (claimed,) = await db.claim()
    await db.admin.execute("""update agent_states set memory = '{"old": 1}', inbox = '{"x": 1, "y": 2, "z": 3}'""")
    run = await db.begin(claimed, agent="planner")
    changes = [
        {"op": "remember", "set": {"a": 1}, "drop": []},
        {"op": "remember", "set": {"b": 2, "a": 3}, "drop": ["old"]},
        {"op": "clear_inbox", "ids": ["x"]},
        {"op": "clear_inbox", "ids": ["y"]},
    ]
    assert set((await db.commit(run | {"changes": changes}))["verdicts"].values()) == {"done"}
    row = await db.admin.fetchrow("select memory::text, inbox::text from agent_states where agent_type = 'planner'")
    assert tuple(row) == ('{"a": 3, "b": 2}', '{"z": 3}')
    assert stack


async def test_the_reason_of_a_failure_is_the_operators_and_visitors_see_no_traceback(db):
    stack = await db.stack()
    await db.admin.execute("insert into todos (stack_id, content) values ($1, 'build')", stack)
    await db.as_person("insert into user_messages (stack_id, content) values ($1, 'hello?')", stack)
    (claimed,) = await db.claim()
    todo, line = await db.one("select id from todos"), await db.one("select id from user_messages")
    trace = 'Traceback (most recent call last):\n  File "/srv/secret/agent.py", line 1\nKeyError: 1'
    build = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    answer = await db.begin(claimed, agent="communicator", item={"kind": "visitor", "ids": [str(line)]})
    failed = {"status": "failed", "error": trace, "retry_ms": 0}
    await db.commit(build | failed, answer | failed)
    assert await db.one("select count(*) from agent_executions where error like '%/srv/secret%'") == 2
    for table in ("todos", "user_messages"):
        ((shown,),) = await db.as_person(f"select last_error from {table}")
        assert shown == "a bug in the agent; its run has the details"


async def test_failed_todos_do_not_crowd_the_open_ones_out_of_sight(db):
    stack = await db.stack()
    await db.admin.execute(
        "insert into todos (stack_id, content, priority, status) "
        "select $1, 'x', 10, 'failed' from generate_series(1, 70)",
        stack,
    )
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'do me') returning id", stack)
    (claimed,) = await db.claim()
    assert str(todo) in {one["id"] for one in claimed["snapshot"]["todos"]}


async def test_a_page_beyond_the_limit_fails_its_run_in_words_and_hurts_nobody(db):
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'build') returning id", stack)
    (claimed,) = await db.claim()
    run = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    call = {
        "id": str(uuid.uuid4()),
        "attempt": 1,
        "provider": "p",
        "model": "m",
        "tokens_in": 7,
        "reply": "x" * 600_000,
    }
    changes = [
        {"op": "publish_artifact", "content": "x" * 500_001, "description": "d", "todo_id": str(todo)},
        {"op": "finish_todo", "id": str(todo)},
    ]
    answer = await db.commit(run | {"changes": changes, "calls": [call]}, settlements=(settlement(claimed),))
    assert answer["runs"][0]["verdict"] == "failed"
    assert await db.one("select count(*) from artifacts") == 0
    assert await db.one("select status || attempts from todos") == "pending1"
    assert await db.one("select tokens_in from llm_calls") == 7


async def test_playing_a_completed_project_reopens_it_for_what_waited_meanwhile(db):
    stack = await db.stack()
    (claimed,) = await db.claim()
    run = await db.begin(claimed, agent="planner")
    await db.commit(run | {"changes": [{"op": "set_phase", "phase": "complete"}]}, settlements=(settlement(claimed),))
    await db.as_person("insert into user_messages (stack_id, content) values ($1, 'one more thing')", stack)
    assert await db.claim() == []
    await db.as_operator("update agent_stacks set execution_state = 'running' where id = $1", stack)
    (again,) = await db.claim()
    assert again["snapshot"]["stack"]["phase"] == "demo"
    assert [line["content"] for line in again["snapshot"]["visitor_messages"]] == ["one more thing"]
