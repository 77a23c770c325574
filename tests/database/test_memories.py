"""Long-term memory: learned and forgotten by runs, each agent its own, bounded, found by words, edited by operators."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

DUE = "update stack_schedule set lease_owner = null, lease_expires_at = null, due_at = internal.clock()"
ALL = "select content from memories order by importance desc, content"


async def learn(db, stack, *changes, agent="planner"):
    await db.admin.execute(DUE)
    claimed = next(one for one in await db.claim() if one["stack_id"] == str(stack))
    run = await db.begin(claimed, agent=agent)
    answer = await db.commit(run | {"changes": list(changes)})
    assert answer["verdicts"][run["run_id"]] == "done", answer
    return run


def fact(content, **more):
    return {"op": "learn", "content": content, **more}


async def contents(db):
    return [row["content"] for row in await db.admin.fetch(ALL)]


async def recall(db, stack, text, **request):
    answer = await db.verb("recall", stack_id=str(stack), text=text, **request)
    return [item["content"] for item in answer["items"]]


async def test_an_item_names_its_run_and_the_same_item_is_there_once(db):
    stack = await db.stack()
    run = await learn(db, stack, fact("Ada likes tea", importance=8), fact("ada likes TEA"), fact("Tea is hot"))
    await learn(db, stack, fact(" Ada likes tea "))
    assert await contents(db) == ["Ada likes tea", "Tea is hot"]
    assert await db.one("select array_agg(distinct run_id::text) from memories") == [run["run_id"]]


async def test_an_agent_forgets_its_own_items_only(db):
    stack, other = await db.stack(), await db.stack("Others")
    await learn(db, stack, fact("mine"))
    await learn(db, stack, fact("the builder's"), agent="builder")
    await learn(db, other, fact("another stack's"))
    ids = [str(row["id"]) for row in await db.admin.fetch("select id from memories")]
    await learn(db, stack, {"op": "forget", "ids": ids})
    assert await contents(db) == ["another stack's", "the builder's"]


async def test_the_least_important_and_the_oldest_give_way(db):
    stack = await db.stack()
    await db.set_clock("2026-01-01 12:00+00")
    await learn(db, stack, *(fact(f"old {number}", importance=5) for number in range(40)))
    await db.pass_time(60)
    await learn(db, stack, fact("dull", importance=1), *(fact(f"new {number}", importance=5) for number in range(5)))
    kept = await contents(db)
    assert len(kept) == 40
    assert "dull" not in kept
    assert sum(content.startswith("new") for content in kept) == 5


async def test_what_has_expired_is_neither_recalled_nor_kept(db):
    stack = await db.stack()
    await db.set_clock("2026-01-01 12:00+00")
    await learn(db, stack, fact("for a day", days=1), fact("for ever"))
    await db.pass_time(86_400)
    assert await recall(db, stack, "day") == ["for ever"]
    await learn(db, stack, fact("later"))
    assert sorted(await contents(db)) == ["for ever", "later"]


async def test_recall_finds_by_words_then_by_importance_and_stays_in_its_stack(db):
    stack, other = await db.stack(), await db.stack("Others")
    await learn(
        db, stack, fact("Visitors ask for darker colours", importance=2), fact("The idea is settled", importance=6)
    )
    await learn(db, stack, fact("Buttons were too small", importance=4), agent="reviewer")
    await learn(db, other, fact("Colours of another stack", importance=10))
    assert (await recall(db, stack, "make the colour dark"))[0] == "Visitors ask for darker colours"
    assert await recall(db, stack, "", agent="reviewer") == [
        "The idea is settled",
        "Buttons were too small",
        "Visitors ask for darker colours",
    ]
    assert await recall(db, stack, "", agent="reviewer", own=True) == ["Buttons were too small"]
    assert await recall(db, stack, "colour", most=1) == ["Visitors ask for darker colours"]


@pytest.mark.parametrize(
    "text", ["", "'", "a' | 'b", "\\", "a & b:* !c", "http://x.example/a?b&c=\\'", "\u202e", "x" * 9000, "<->", "()"]
)
async def test_no_text_breaks_recall(db, text):
    stack = await db.stack()
    await learn(db, stack, fact("Tea"))
    assert await recall(db, stack, text) == ["Tea"]


async def test_a_run_that_wants_memory_gets_it_with_its_begin(db):
    stack = await db.stack()
    await learn(db, stack, fact("Tea is hot"), fact("Coffee is cold"))
    await db.admin.execute(DUE)
    (claimed,) = await db.claim()
    assert claimed["snapshot"]["memory_counts"] == {"planner": 2}
    run = await db.begin(claimed, agent="builder", recall={"text": "hot drinks", "most": 1})
    assert [item["content"] for item in run["answer"]["recalled"]] == ["Tea is hot"]
    assert run["answer"]["recalled"][0]["agent"] == "planner"
    plain = await db.begin(claimed, agent="reviewer")
    assert plain["answer"]["recalled"] is None


async def test_operators_teach_edit_and_forget_and_nobody_else_looks(db):
    stack = await db.stack()
    insert = "insert into memories (stack_id, agent_type, content) values ($1, 'planner', $2) returning id, run_id"
    (row,) = await db.as_operator(insert, stack, "Ship on Friday")
    assert row["run_id"] is None
    await db.as_operator("update memories set content = 'Ship on Monday' where id = $1", row["id"])
    assert await recall(db, stack, "monday") == ["Ship on Monday"]
    reader = {"role": "operator", "read_only": True}
    look = "select content from memories"
    assert len(await db.as_person(look, role="authenticated", app=reader)) == 1
    assert await db.as_person("delete from memories returning id", role="authenticated", app=reader) == []
    assert await db.as_person(look, role="authenticated") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person(look)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person(insert, stack, "x", role="authenticated", app=reader)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person("select public.recall('{}')", role="authenticated", app={"role": "operator"})
    await db.as_operator("delete from memories where id = $1", row["id"])
    assert await contents(db) == []


async def test_an_item_in_a_person_s_hands_is_passed_over_and_nobody_waits(db):
    stack = await db.stack()
    await learn(db, stack, fact("held"), fact("free"))
    ids = [str(row["id"]) for row in await db.admin.fetch("select id from memories")]
    await db.admin.execute(DUE)
    async with db.admin.transaction():
        await db.admin.execute("select 1 from memories where content = 'held' for update")
        (claimed,) = await db.claim()
        run = await db.begin(claimed, agent="planner")
        answer = await db.commit(run | {"changes": [{"op": "forget", "ids": ids}]})
        assert answer["verdicts"][run["run_id"]] == "done"
    assert await contents(db) == ["held"]


async def test_a_deleted_stack_is_forgotten(db):
    stack = await db.stack()
    await learn(db, stack, fact("gone"))
    await db.admin.execute("delete from agent_stacks where id = $1", stack)
    assert await contents(db) == []


async def test_recall_says_what_the_request_lacks(db):
    with pytest.raises(asyncpg.PostgresError, match="stack_id"):
        await db.verb("recall", text="x")
    assert (await db.verb("recall", stack_id=str(uuid.uuid4())))["items"] == []
