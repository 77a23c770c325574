"""begin_runs and commit_runs: effects, trace and outcome together or not at all; the ledger always."""

from __future__ import annotations

import hashlib
import uuid

import asyncpg
import pytest


def settlement(claimed, **fields):
    base = {"stack_id": claimed["stack_id"], "fence": claimed["fence"], "wakes": claimed["wakes"]}
    return base | {"due_in_ms": 5000, "wait_reason": "next look later", "wait_ms": 5000} | fields


def call(**fields):
    base = {
        "id": str(uuid.uuid4()),
        "attempt": 1,
        "provider": "groq",
        "model": "m",
        "tokens_in": 10,
        "tokens_out": 5,
        "tokens_cached": 0,
    }
    return (
        base
        | {
            "cost_usd": 0.001,
            "latency_ms": 12,
            "finish_reason": "stop",
            "error": None,
            "simulated": False,
            "reply": "{}",
        }
        | fields
    )


async def begun_todo(db):
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'build it') returning id", stack)
    [claimed] = await db.claim()
    run = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]}, needs_artifact=True)
    return stack, todo, claimed, run


async def test_a_run_takes_its_todo_and_a_commit_publishes_finishes_and_traces(db):
    stack, todo, claimed, run = await begun_todo(db)
    assert run["answer"]["verdict"] == "begun"
    assert await db.one("select status from todos") == "in_progress"
    assert "builder" in await db.one("select activity from stack_status")
    done = await db.commit(
        run
        | {
            "changes": [
                {"op": "publish_artifact", "content": "<!doctype html>", "description": "first", "todo_id": str(todo)},
                {"op": "finish_todo", "id": str(todo)},
                {"op": "remember", "set": {"a": 1, "b": 2}, "drop": []},
            ],
            "trace": {"thought": "built", "action": "build", "result": {"version": 1}},
            "context": {"recent": ["built"]},
            "calls": [call()],
        },
        settlements=(settlement(claimed),),
    )
    assert done["verdicts"] == {run["run_id"]: "done"}
    assert done["settled"] == {str(stack): "done"}
    assert await db.one("select status from todos") == "completed"
    assert await db.one("select version from artifacts where todo_id = $1", todo) == 1
    assert await db.one("select content from artifact_bodies") == "<!doctype html>"
    assert await db.one("select thought from agent_traces") == "built"
    assert await db.one("select memory ->> 'b' from agent_states where agent_type = 'builder'") == "2"
    assert await db.one("select sum(tokens_in) from llm_calls") == 10
    assert await db.one("select activity::text from stack_status") == "{}"
    assert await db.one("select wait_reason from stack_status") == "next look later"
    assert await db.one("select lease_owner from stack_schedule") is None


async def test_the_same_commit_twice_does_nothing_twice(db):
    _, _, claimed, run = await begun_todo(db)
    change = {"op": "add_todo", "content": "more", "priority": 3, "assigned_to": "builder"}
    outcome = run | {"changes": [change], "calls": [call()]}
    for _ in range(3):
        answer = await db.commit(outcome, settlements=(settlement(claimed),))
        assert answer["verdicts"] == {run["run_id"]: "done"}
    assert await db.one("select count(*) from todos where content = 'more'") == 1
    assert await db.one("select count(*) from llm_calls") == 1


async def test_the_same_begin_twice_takes_nothing_twice(db):
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'x') returning id", stack)
    [claimed] = await db.claim()
    item = {"kind": "todo", "ids": [str(todo)]}
    first = await db.begin(claimed, item=item)
    again = await db.begin(claimed, item=item, run_id=first["run_id"])
    assert again["answer"]["verdict"] == "begun"
    assert await db.one("select attempts from todos") == 1
    rival = await db.begin(claimed, item=item)
    assert rival["answer"]["verdict"] == "taken"


async def test_after_a_takeover_the_old_daemon_lands_nothing_but_its_costs(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    stack, todo, claimed, run = await begun_todo(db)
    await db.pass_time(16)
    [_again] = await db.claim()
    assert await db.one("select status from agent_executions") == "abandoned"
    assert await db.one("select status from todos") == "pending"
    late = await db.commit(
        run | {"changes": [{"op": "finish_todo", "id": str(todo)}], "calls": [call()]},
        settlements=(settlement(claimed),),
    )
    assert late["verdicts"] == {run["run_id"]: "stale"}
    assert late["settled"] == {str(stack): "stale"}
    assert await db.one("select status from todos") == "pending"
    assert await db.one("select count(*) from llm_calls") == 1


async def test_a_late_commit_counts_while_nobody_took_over(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    _, todo, _, run = await begun_todo(db)
    await db.pass_time(100)
    late = await db.commit(run | {"changes": [{"op": "finish_todo", "id": str(todo)}]})
    assert late["verdicts"] == {run["run_id"]: "done"}


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("update agent_stacks set execution_state = 'stopped'", "stopped"),
        ("delete from agent_stacks", "stopped"),
        ("update agent_stacks set execution_state = 'paused'", "done"),
    ],
)
async def test_stop_and_delete_keep_everything_in_flight_out_pause_lets_it_land(db, sql, verdict):
    _, todo, _, run = await begun_todo(db)
    await db.admin.execute(sql)
    answer = await db.commit(run | {"changes": [{"op": "finish_todo", "id": str(todo)}], "calls": [call()]})
    assert answer["verdicts"] == {run["run_id"]: verdict}
    assert await db.one("select count(*) from todos where status = 'completed'") == (1 if verdict == "done" else 0)
    assert await db.one("select count(*) from llm_calls") == 1
    assert await db.one("select count(*) from todos where status = 'in_progress'") == 0


async def test_stop_then_play_does_not_revive_the_old_run(db):
    _, todo, _, run = await begun_todo(db)
    await db.admin.execute("update agent_stacks set execution_state = 'stopped'")
    await db.admin.execute("update agent_stacks set execution_state = 'running'")
    answer = await db.commit(run | {"changes": [{"op": "finish_todo", "id": str(todo)}]})
    assert answer["verdicts"][run["run_id"]] in {"stopped", "stale"}
    assert await db.one("select status from todos") == "pending"
    assert await db.one("select attempts from todos") == 0


async def test_one_run_that_breaks_a_constraint_does_not_hurt_the_others(db):
    for n in range(5):
        await db.stack(f"Stack {n}")
    runs = [await db.begin(claimed, agent="planner") for claimed in await db.claim()]
    good = {"changes": [{"op": "add_todo", "content": "fine", "priority": 5, "assigned_to": "builder"}]}
    bad = {
        "changes": [
            {"op": "add_todo", "content": "fine", "priority": 5, "assigned_to": "builder"},
            {"op": "add_todo", "content": "out of range", "priority": 99, "assigned_to": "builder"},
        ]
    }
    trace = {"trace": {"thought": "t", "action": "planning", "result": {}}}
    answer = await db.commit(*[r | (bad if n == 2 else good) | trace for n, r in enumerate(runs)])
    verdicts = [answer["verdicts"][r["run_id"]] for r in runs]
    assert verdicts == ["done", "done", "failed", "done", "done"]
    assert await db.one("select count(*) from todos") == 4
    assert await db.one("select count(*) from agent_traces") == 4
    assert "priority" in await db.one("select error from agent_executions where status = 'failed'")


async def test_a_failing_todo_waits_then_ends_visibly_and_can_be_retried_by_update(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'hard') returning id", stack)
    for attempt in range(1, 4):
        [claimed] = await db.claim()
        run = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
        assert run["answer"]["attempt"] == attempt
        await db.commit(
            run | {"status": "failed", "error": "bad page", "retry_ms": 20000},
            settlements=(settlement(claimed, due_in_ms=0),),
        )
        [claimed] = await db.claim()
        if attempt < 3:
            early = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
            assert early["answer"]["verdict"] == "taken"
        await db.commit(settlements=(settlement(claimed, due_in_ms=0),))
        await db.pass_time(21)
    assert await db.one("select status from todos") == "failed"
    assert await db.one("select last_error from todos") == "bad page"
    await db.as_operator("update todos set status = 'pending' where id = $1", todo)
    assert await db.one("select attempts from todos") == 0


async def test_a_deferred_run_gives_the_attempt_back(db):
    _, _, claimed, run = await begun_todo(db)
    await db.commit(
        run | {"status": "deferred", "error": "groq 503", "retry_ms": 1000}, settlements=(settlement(claimed),)
    )
    assert await db.one("select attempts from todos") == 0
    assert await db.one("select status from todos") == "pending"


async def test_a_visitor_gets_exactly_one_answer(db):
    stack = await db.stack()
    await db.as_person("insert into user_messages (stack_id, content, sender_name) values ($1, 'hi', 'Ada')", stack)
    question = str(await db.one("select id from user_messages"))
    [claimed] = await db.claim()
    run = await db.begin(claimed, agent="communicator", item={"kind": "visitor", "ids": [question]})
    rival = await db.begin(claimed, agent="communicator", item={"kind": "visitor", "ids": [question]})
    assert rival["answer"]["verdict"] == "taken"
    answer = {"op": "answer_visitor", "message_id": question, "content": "hello Ada"}
    await db.commit(run | {"changes": [answer, answer]})
    await db.commit(run | {"changes": [answer]})
    assert await db.one("select count(*) from messages where message_type = 'visitor'") == 1
    row = await db.admin.fetchrow(
        "select u.status, m.content from user_messages u join messages m on m.id = u.response_id"
    )
    assert tuple(row) == ("answered", "hello Ada")


async def test_a_direct_message_wakes_its_recipient_and_is_read_once(db):
    sender = await db.stack("Sender")
    reader = await db.stack("Reader")
    claims = {s["stack_id"]: s for s in await db.claim()}
    run = await db.begin(claims[str(sender)], agent="communicator")
    quiet = settlement(claims[str(reader)], due_in_ms=None)
    await db.commit(settlements=(quiet,))
    assert await db.one("select due_at from stack_schedule where stack_id = $1", reader) is None
    send = {"op": "send_message", "to_stack_id": str(reader), "content": "ahoy", "hop": 0}
    await db.commit(run | {"changes": [send]}, settlements=(settlement(claims[str(sender)]),))
    [woken] = await db.claim()
    assert woken["stack_id"] == str(reader)
    [message] = woken["snapshot"]["team_messages"]
    read = await db.begin(woken, agent="communicator", item={"kind": "message", "ids": [message["id"]]})
    await db.commit(
        read | {"changes": [{"op": "mark_read", "message_ids": [message["id"]]}]},
        settlements=(settlement(woken, due_in_ms=0),),
    )
    [again] = await db.claim()
    assert again["snapshot"]["team_messages"] == []


async def test_advice_reaches_the_inbox_and_only_what_was_seen_is_cleared(db):
    await db.stack()
    [claimed] = await db.claim()
    review = await db.begin(claimed, agent="reviewer")
    await db.commit(
        review
        | {"changes": [{"op": "advise", "agent": "planner", "items": {"r1": {"text": "a"}, "r2": {"text": "b"}}}]}
    )
    plan = await db.begin(claimed, agent="planner")
    await db.commit(plan | {"changes": [{"op": "clear_inbox", "ids": ["r1"]}]})
    assert await db.one("select inbox::text from agent_states where agent_type = 'planner'") == '{"r2": {"text": "b"}}'


async def test_a_plug_ins_agent_gets_its_state_with_its_first_commit(db):
    await db.stack()
    [claimed] = await db.claim()
    run = await db.begin(claimed, agent="scout")
    assert await db.one("select count(*) from agent_states where agent_type = 'scout'") == 0
    remember = {"op": "remember", "set": {"seen": 1, "old": 2}, "drop": []}
    await db.commit(run | {"changes": [remember], "context": {"task": "look"}})
    forget = {"op": "remember", "set": {"seen": 2}, "drop": ["old"]}
    await db.commit(await db.begin(claimed, agent="scout") | {"changes": [forget]})
    row = await db.admin.fetchrow("select * from agent_states where agent_type = 'scout'")
    assert (row["memory"], row["inbox"], row["current_context"]) == ('{"seen": 2}', "{}", '{"task": "look"}')
    assert row["last_run_at"] is not None


async def test_a_new_rows_id_is_made_of_its_run_and_the_changes_place_in_it(db):
    await db.stack()
    [claimed] = await db.claim()
    run = await db.begin(claimed)
    changes = [
        {"op": "add_todo", "content": "one"},
        {"op": "send_message", "content": "hello"},
        {"op": "add_todo", "content": "two"},
        {"op": "publish_artifact", "content": "<!doctype html>", "description": "first"},
    ]
    done = await db.commit(run | {"changes": changes})
    assert done["verdicts"][run["run_id"]] == "done"
    rows = await db.admin.fetch("select id from todos union select id from messages union select id from artifacts")
    expected = {uuid.UUID(hashlib.md5(f"{run['run_id']} {n}".encode()).hexdigest()) for n in range(1, 5)}
    assert {row["id"] for row in rows} == expected


async def test_a_wake_during_the_cycle_makes_the_stack_due_again_at_once(db):
    stack = await db.stack()
    [claimed] = await db.claim()
    await db.as_person("insert into user_messages (stack_id, content) values ($1, 'quick')", stack)
    await db.commit(settlements=(settlement(claimed, due_in_ms=None),))
    [again] = await db.claim()
    assert again["snapshot"]["visitor_messages"][0]["content"] == "quick"


async def test_an_update_that_meets_a_locked_stack_still_wakes_it(db):
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'x') returning id", stack)
    [claimed] = await db.claim()
    await db.commit(settlements=(settlement(claimed, due_in_ms=None),))
    async with db.admin.transaction():
        await db.admin.execute("select 1 from agent_stacks where id = $1 for no key update", stack)
        await db.as_operator("update todos set priority = 9 where id = $1", todo)
    assert len(await db.claim()) == 1


async def test_a_stack_held_by_somebody_else_is_busy_and_nothing_waits(db):
    stack, todo, claimed, run = await begun_todo(db)
    async with db.admin.transaction():
        await db.admin.execute("select 1 from agent_stacks for no key update")
        answer = await db.commit(
            run | {"changes": [{"op": "finish_todo", "id": str(todo)}]}, settlements=(settlement(claimed),)
        )
    assert answer["verdicts"] == {run["run_id"]: "busy"}
    assert answer["settled"] == {str(stack): "busy"}
    answer = await db.commit(
        run | {"changes": [{"op": "finish_todo", "id": str(todo)}]}, settlements=(settlement(claimed),)
    )
    assert answer["verdicts"] == {run["run_id"]: "done"}


async def test_completing_the_project_makes_the_stack_idle(db):
    stack = await db.stack()
    [claimed] = await db.claim()
    run = await db.begin(claimed, agent="planner")
    other = await db.begin(claimed, agent="communicator")
    await db.commit(run | {"changes": [{"op": "set_phase", "phase": "complete"}]})
    trace = {"trace": {"thought": "bye", "action": "communicate", "result": {}}}
    answer = await db.commit(other | trace, settlements=(settlement(claimed),))
    assert answer["verdicts"] == {other["run_id"]: "done"}
    row = await db.admin.fetchrow("select phase, execution_state from agent_stacks where id = $1", stack)
    assert tuple(row) == ("complete", "idle")
    assert await db.claim() == []


async def test_overruns_are_counted_in_whole_cadences(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack(cadence_s=10)
    [claimed] = await db.claim(lease_ms=60000)
    await db.pass_time(35)
    await db.commit(settlements=(settlement(claimed),))
    assert await db.one("select overruns from stack_schedule") == 3


async def test_heartbeats_extend_report_lost_and_halted(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    a, b = await db.stack("A"), await db.stack("B")
    worker = uuid.uuid4()
    claims = {s["stack_id"]: s for s in await db.claim(worker)}
    leases = [{"stack_id": s, "fence": c["fence"]} for s, c in claims.items()]
    beat = {"worker": worker, "name": "w", "version": "1", "slots": 2, "lease_ms": 15000}
    await db.pass_time(10)
    answer = await db.verb("heartbeat", **beat, leases=leases)
    assert (answer["lost"], answer["halted"]) == ([], [])
    await db.pass_time(10)
    assert await db.claim() == []
    await db.admin.execute("update agent_stacks set execution_state = 'paused' where id = $1", a)
    await db.admin.execute("update agent_stacks set execution_state = 'stopped' where id = $1", b)
    answer = await db.verb("heartbeat", **beat, leases=leases)
    assert answer["lost"] == [str(b)]
    assert {h["stack_id"]: h["execution_state"] for h in answer["halted"]} == {str(a): "paused", str(b): "stopped"}


async def test_a_worker_that_leaves_signals_the_others_once(db):
    """By touching the running stack that is due first: whoever hears it looks again."""
    later, first, idle = await db.stack("Later"), await db.stack("First"), await db.stack("Idle", "idle")
    await db.admin.execute("update stack_schedule set due_at = now() + '1 min' where stack_id = $1", later)
    await db.admin.execute("update agent_stacks set woken_at = null")
    beat = {"worker": str(uuid.uuid4()), "name": "d", "version": "1", "slots": 4, "lease_ms": 15_000}
    touched = "select array_agg(id) from agent_stacks where woken_at is not null"
    await db.verb("heartbeat", **beat)
    assert await db.admin.fetchval(touched) is None
    await db.verb("heartbeat", **beat, stopping=True)
    assert await db.admin.fetchval(touched) == [first]
    await db.admin.execute("update agent_stacks set woken_at = null")
    await db.verb("heartbeat", **beat, stopping=True)
    assert await db.admin.fetchval(touched) is None
    assert await db.admin.fetchval("select due_at from stack_schedule where stack_id = $1", idle) is None


async def test_bad_requests_say_what_is_missing(db):
    with pytest.raises(asyncpg.PostgresError, match='lacks "max"') as missing:
        await db.verb("claim_due_stacks", worker=uuid.uuid4(), lease_ms=1, cadence_ms=1)
    assert missing.value.sqlstate == "SB001"
    with pytest.raises(asyncpg.PostgresError, match="version 1") as version:
        await db.verb("prune", v=1)
    assert version.value.sqlstate == "SB002"
    await db.stack()
    [claimed] = await db.claim()
    run = await db.begin(claimed)
    answer = await db.commit(run | {"changes": [{"op": "drop_everything"}]})
    assert answer["verdicts"] == {run["run_id"]: "failed"}


async def test_an_open_edit_of_a_todo_makes_only_that_stack_busy(db):
    stack, todo, claimed, run = await begun_todo(db)
    other = await db.stack("Boats")
    [second] = await db.claim()
    assert second["stack_id"] == str(other)
    free = await db.begin(second, agent="planner")
    finish = run | {"changes": [{"op": "finish_todo", "id": str(todo)}]}
    async with db.admin.transaction():
        await db.admin.execute("select 1 from todos where id = $1 for no key update", todo)
        answer = await db.commit(finish, free, settlements=(settlement(claimed),))
        assert answer["verdicts"] == {run["run_id"]: "busy", free["run_id"]: "done"}
        assert answer["settled"] == {str(stack): "busy"}
    answer = await db.commit(finish, settlements=(settlement(claimed),))
    assert answer["verdicts"] == {run["run_id"]: "done"}


async def test_a_commit_told_twice_leaves_what_runs_by_then_in_the_activity(db):
    await db.stack()
    [claimed] = await db.claim()
    first = await db.begin(claimed)
    await db.commit(first, settlements=(settlement(claimed, due_in_ms=0),))
    [again] = await db.claim()
    await db.begin(again)
    told_twice = await db.commit(first)
    assert told_twice["verdicts"] == {first["run_id"]: "done"}
    assert "builder" in await db.one("select activity from stack_status")


async def test_several_runs_of_one_agent_answer_each_its_own_line(db):
    stack = await db.stack()
    lines = [
        await db.one(
            "insert into user_messages (stack_id, sender_name, content) values ($1, $2, 'Hi') returning id", stack, name
        )
        for name in ("Ada", "Bob", "Cyd")
    ]
    (claimed,) = await db.claim()
    runs = []
    for line in lines:
        run = await db.begin(claimed, agent="communicator", item={"kind": "visitor", "ids": [str(line)]})
        answer = {"op": "answer_visitor", "message_id": str(line), "content": f"to {line}"}
        learned = {"op": "learn", "content": f"about {line}"}
        runs.append(run | {"changes": [answer, learned], "context": {"task": str(line)}})
    busy = "select activity ? 'communicator' from stack_status"
    await db.commit(runs[0])
    assert await db.one(busy), "two of its runs go on"
    answer = await db.commit(*runs[1:])
    assert set(answer["verdicts"].values()) == {"done"}
    assert not await db.one(busy)
    assert (
        await db.one(
            "select count(*) from user_messages u join messages m on m.id = u.response_id"
            " where u.status = 'answered' and m.content = 'to ' || u.id"
        )
        == 3
    )
    assert await db.one("select count(*) from memories") == 3
    assert await db.one("select current_context ->> 'task' from agent_states where agent_type = 'communicator'") == str(
        lines[-1]
    )


async def test_who_waits_is_remembered_however_many_came_since(db):
    stack = await db.stack()
    told = "insert into messages (from_stack_id, content, message_type) values ($1, $2, 'visitor') returning id"
    line = (
        "insert into user_messages (stack_id, sender_name, content, status, response_id, answered_at, created_at)"
        " values ($1, $2, $3, 'answered', $4, now(), now() + make_interval(secs => $5))"
    )
    for number in range(30):
        name = "Ada" if number < 7 else f"Guest {number}"
        await db.admin.execute(
            line, stack, name, f"line {number}", await db.one(told, stack, f"reply {number}"), number
        )
    await db.admin.execute(
        "insert into user_messages (stack_id, sender_name, content) values ($1, 'Ada', 'Me again')", stack
    )
    (claimed,) = await db.claim()
    shown = [one["content"] for one in claimed["snapshot"]["conversation"]]
    assert sorted(shown) == sorted(f"line {n}" for n in (*range(2, 7), *range(20, 30)))
