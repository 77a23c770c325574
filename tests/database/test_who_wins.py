"""Two who want different things of one stack at one time: who wins, and that nothing is lost. A table of cases."""

from __future__ import annotations

import pytest

PAGE = "<!doctype html><html><body>"
DUE = "update stack_schedule set lease_owner = null, lease_expires_at = null, due_at = internal.clock()"


async def building(db):
    """A stack whose builder is at work on version 2 of its page."""
    stack = await db.stack()
    first = await db.one("insert into todos (stack_id, content) values ($1, 'First') returning id", stack)
    (claimed,) = await db.claim()
    run = await db.begin(claimed, item={"kind": "todo", "ids": [str(first)]})
    await db.commit(run | {"changes": page(first, 0)})
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'Second') returning id", stack)
    await db.admin.execute(DUE)
    (claimed,) = await db.claim()
    run = await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    return stack, todo, claimed, run


def page(todo, base):
    published = {
        "op": "publish_artifact",
        "content": f"{PAGE}{base + 1}",
        "description": "",
        "todo_id": str(todo),
        "base": base,
    }
    return [published, {"op": "finish_todo", "id": str(todo)}]


async def plan(db, claimed, *changes):
    run = await db.begin(claimed, agent="planner")
    return await db.commit(run | {"changes": list(changes)})


async def planner_cancels(db, stack, todo, claimed):
    await plan(db, claimed, {"op": "cancel_todo", "id": str(todo)})


async def planner_rewrites(db, stack, todo, claimed):
    await plan(db, claimed, {"op": "update_todo", "id": str(todo), "content": "Another"})


async def operator_cancels(db, stack, todo, claimed):
    await db.as_operator("update todos set status = 'cancelled' where id = $1", todo)


async def operator_puts_a_version_back(db, stack, todo, claimed):
    # There are two versions to choose from only after somebody published meanwhile.
    await db.admin.execute("insert into artifacts (stack_id, version, size_bytes) values ($1, 2, 1)", stack)
    await db.as_operator("insert into artifacts (stack_id, restores) values ($1, 1)", stack)


async def operator_stops(db, stack, todo, claimed):
    await db.as_operator("update agent_stacks set execution_state = 'stopped' where id = $1", stack)


async def operator_pauses(db, stack, todo, claimed):
    await db.as_operator("update agent_stacks set execution_state = 'paused' where id = $1", stack)


async def another_stage_takes_over(db, stack, todo, claimed):
    await db.admin.execute(DUE)
    assert await db.claim()


CASES = [
    # meanwhile, the builder's verdict, versions then, the todo then
    (planner_cancels, "done", 2, "completed"),
    (planner_rewrites, "done", 2, "completed"),
    (operator_cancels, "done", 2, "cancelled"),
    (operator_puts_a_version_back, "failed", 3, "pending"),
    (operator_stops, "stopped", 1, "pending"),
    (operator_pauses, "done", 2, "completed"),
    (another_stage_takes_over, "stale", 1, "pending"),
]


@pytest.mark.parametrize(
    ("meanwhile", "verdict", "versions", "status"), CASES, ids=lambda case: getattr(case, "__name__", "")
)
async def test_while_the_builder_works(db, meanwhile, verdict, versions, status):
    stack, todo, claimed, run = await building(db)
    await meanwhile(db, stack, todo, claimed)
    answer = await db.commit(run | {"changes": page(todo, 1)})
    assert answer["verdicts"][run["run_id"]] == verdict
    assert await db.one("select count(*) from artifacts") == versions
    row = await db.admin.fetchrow("select status, run_id from todos where id = $1", todo)
    assert tuple(row) == (status, None), "nobody holds it any more"


async def test_a_late_reviewer_speaks_of_the_version_it_saw_and_loses_no_advice(db):
    _, todo, claimed, run = await building(db)
    review = await db.begin(claimed, agent="reviewer")
    await db.commit(run | {"changes": page(todo, 1)})
    await plan(db, claimed, {"op": "clear_inbox", "ids": ["v0:old:1"]})
    advice = {"op": "advise", "agent": "planner", "items": {"v1:lang:1": {"text": "no lang"}}}
    await db.commit(review | {"changes": [{"op": "remember", "set": {"last_reviewed_version": 1}}, advice]})
    assert await db.one("select inbox ? 'v1:lang:1' from agent_states where agent_type = 'planner'")
    await db.admin.execute(DUE)
    (claimed,) = await db.claim()
    reviewer = claimed["snapshot"]["agents"]["reviewer"]["memory"]
    assert reviewer["last_reviewed_version"] < claimed["snapshot"]["artifact"]["version"], (
        "so version 2 is still to review"
    )
