"""What people may do, by whom it is refused, and what the triggers make of it."""

from __future__ import annotations

import asyncpg
import pytest

STATES = ["idle", "running", "paused", "stopped"]
MOVES = {  # (from, asked): what the row says afterwards; absent = refused
    **{(s, s): s for s in STATES},
    ("idle", "running"): "running",
    ("idle", "paused"): "idle",
    ("idle", "stopped"): "idle",
    ("running", "paused"): "paused",
    ("running", "stopped"): "stopped",
    ("paused", "running"): "running",
    ("paused", "stopped"): "stopped",
    ("stopped", "running"): "running",
    ("stopped", "paused"): "stopped",
}


async def bring(db, state):
    stack = await db.stack(state="idle")
    if state != "idle":
        await db.admin.execute("update agent_stacks set execution_state = 'running' where id = $1", stack)
        await db.admin.execute("update agent_stacks set execution_state = $2 where id = $1", stack, state)
    return stack


async def test_every_pair_of_states(db):
    for was in STATES:
        for asked in STATES:
            stack = await bring(db, was)
            update = db.as_operator("update agent_stacks set execution_state = $2 where id = $1", stack, asked)
            if (was, asked) in MOVES:
                await update
                got = await db.one("select execution_state from agent_stacks where id = $1", stack)
                assert got == MOVES[was, asked], (was, asked)
            else:
                with pytest.raises(asyncpg.PostgresError, match="cannot be set to idle"):
                    await update


async def test_an_unknown_word_is_refused_with_the_words_that_exist(db):
    stack = await db.stack()
    with pytest.raises(asyncpg.PostgresError, match=r'"sleeping".*idle, running, paused or stopped'):
        await db.as_operator("update agent_stacks set execution_state = 'sleeping' where id = $1", stack)


@pytest.mark.parametrize(
    ("role", "app"),
    [
        ("anon", {}),
        ("authenticated", {}),
        ("authenticated", {"role": "operator", "read_only": True}),
        ("authenticated", {"role": "Operator"}),
    ],
)
async def test_only_operators_write(db, role, app):
    stack = await db.stack()
    await db.admin.execute("insert into todos (stack_id, content) values ($1, 'x')", stack)
    await db.admin.execute("insert into project_ideas (stack_id, title) values ($1, 'x')", stack)
    before = await db.admin.fetchrow("select * from agent_stacks")
    for sql in (
        "update agent_stacks set execution_state = 'stopped' where id = $1",
        "update project_ideas set title = 'y' where stack_id = $1",
        "update todos set status = 'cancelled' where stack_id = $1",
        "update user_messages set status = 'waiting' where stack_id = $1",
        "delete from agent_stacks where id = $1",
        "insert into todos (stack_id, content) values ($1, 'mine')",
        "insert into agent_traces (stack_id, agent_type, action) values ($1, 'planner', 'fake')",
        "insert into messages (from_stack_id, content, message_type) values ($1, 'fake', 'broadcast')",
        "delete from agent_traces where stack_id = $1",
        "update agent_stacks set woken_at = now() where id = $1",
    ):
        try:
            await db.as_person(sql, stack, role=role, app=app)
        except asyncpg.InsufficientPrivilegeError:
            continue
    assert await db.admin.fetchrow("select * from agent_stacks") == before
    assert await db.one("select count(*) from todos where status = 'pending'") == 1
    assert await db.one("select count(*) from agent_traces") == 0
    assert await db.one("select count(*) from messages") == 0


async def test_visitors_see_the_show_and_not_what_is_behind_it(db):
    stack = await db.stack()
    await db.admin.execute("insert into user_messages (stack_id, content) values ($1, 'hi')", stack)
    for table in ("agent_stacks", "stack_status", "user_messages"):
        assert len(await db.as_person(f"select * from {table}")) == 1, table
    for table in (
        "stack_schedule",
        "agent_states",
        "agent_executions",
        "llm_calls",
        "workers",
        "message_reads",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.as_person(f"select * from {table}")
        assert await db.as_person(f"select * from {table}", role="authenticated") == [], table
    assert len(await db.as_operator("select * from agent_states")) == 4


@pytest.mark.parametrize(
    "verb", ["claim_due_stacks", "begin_runs", "commit_runs", "heartbeat", "prune", "verbs_version"]
)
@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_verbs_are_the_machines(db, verb, role):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person(f"select public.{verb}('{{}}'::jsonb)", role=role, app={"role": "operator"})


async def test_an_operator_creates_plays_and_deletes(db):
    await db.as_operator(
        "insert into agent_stacks (id, participant_name) values ('00000000-0000-4000-8000-0000000000aa', 'Mine')"
    )
    await db.as_operator(
        "insert into project_ideas (stack_id, title) values ('00000000-0000-4000-8000-0000000000aa', 'Idea')"
    )
    await db.as_operator("update agent_stacks set execution_state = 'running'")
    assert len(await db.claim()) == 1
    await db.as_operator("delete from agent_stacks")
    for table in ("stack_schedule", "stack_status", "agent_states", "project_ideas"):
        assert await db.one(f"select count(*) from {table}") == 0


async def test_a_wait_reason_says_who(db):
    await db.stack()
    await db.as_operator("update agent_stacks set execution_state = 'paused'")
    assert await db.one("select wait_reason from stack_status") == "paused by an operator"
    await db.admin.execute("update agent_stacks set execution_state = 'running'")
    await db.admin.execute("update agent_stacks set execution_state = 'stopped'")
    assert await db.one("select wait_reason from stack_status") == "stopped by SQL"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 2001, "2001 characters"),
        ("x" * 1_000_000, "1000000 characters"),
    ],
)
async def test_chat_that_cannot_be_taken_says_why(db, content, says):
    stack = await db.stack()
    with pytest.raises(asyncpg.PostgresError, match=says):
        await db.as_person("insert into user_messages (stack_id, content) values ($1, $2)", stack, content)
    assert await db.one("select count(*) from user_messages") == 0


async def test_chat_is_limited_per_stack_and_refills(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    stack, other = await db.stack("A"), await db.stack("B")
    chat = "insert into user_messages (stack_id, content) values ($1, 'hi')"
    for _ in range(20):
        await db.as_person(chat, stack)
    with pytest.raises(asyncpg.PostgresError, match="too many messages") as refused:
        await db.as_person(chat, stack)
    assert refused.value.sqlstate == "PT429"
    await db.as_person(chat, other)
    await db.pass_time(2)
    await db.as_person(chat, stack)


async def test_visitors_cannot_forge_answers(db):
    stack = await db.stack()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person("insert into user_messages (stack_id, content, status) values ($1, 'hi', 'answered')", stack)


async def test_chat_and_a_new_todo_wake_the_stack_with_a_signal(db):
    stack = await db.stack()
    await db.claim()
    await db.admin.execute("update stack_schedule set due_at = null, lease_expires_at = null")
    before = await db.one("select woken_at from agent_stacks")
    await db.as_person("insert into user_messages (stack_id, content) values ($1, 'hi')", stack)
    assert await db.one("select woken_at from agent_stacks") > before
    assert len(await db.claim()) == 1
    await db.admin.execute("update stack_schedule set due_at = null, lease_expires_at = null")
    await db.as_operator("insert into todos (stack_id, content) values ($1, 'more')", stack)
    assert len(await db.claim()) == 1


async def test_every_table_has_rls_a_primary_key_and_indexed_foreign_keys(db):
    assert (
        await db.admin.fetch(
            """select relname from pg_class
            where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity"""
        )
        == []
    )
    assert (
        await db.admin.fetch(
            """select c.conrelid::regclass, c.conname from pg_constraint c
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
          select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1])"""
        )
        == []
    )
    published = await db.admin.fetch("select tablename from pg_publication_tables where pubname = 'supabase_realtime'")
    assert {r[0] for r in published} == {
        "agent_stacks",
        "stack_status",
        "project_ideas",
        "todos",
        "messages",
        "user_messages",
        "artifacts",
        "agent_traces",
        "model_breakers",
    }


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Ada", "Ada"),
        ("\u202eadA", "adA"),
        ("a\nb\tc", "a b c"),
        ("\u200b\u200b", "Visitor"),
        ("Zoë 🦉 李", "Zoë 🦉 李"),
    ],
)
async def test_a_visitors_name_shows_what_it_is(db, name, kept):
    stack = await db.stack()
    await db.as_person("insert into user_messages (stack_id, sender_name, content) values ($1, $2, 'hi')", stack, name)
    assert await db.one("select sender_name from user_messages") == kept


@pytest.mark.parametrize("name", ["operator", " Operator ", "\u200bCOMMUNICATOR", "System"])
async def test_visitors_cannot_take_the_teams_names(db, name):
    stack = await db.stack()
    sql = "insert into user_messages (stack_id, sender_name, content) values ($1, $2, 'hi')"
    for role in ("anon", "authenticated"):
        with pytest.raises(asyncpg.PostgresError, match="belongs to the team: choose another"):
            await db.as_person(sql, stack, name, role=role)
    await db.as_operator(sql, stack, name)
