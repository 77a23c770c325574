"""Versions of a page: only added, built upon the newest, and put back by an ordinary INSERT of an operator."""

from __future__ import annotations

import asyncpg
import orjson
import pytest

PAGE = "<!doctype html><html><body>"
PUT_BACK = "insert into artifacts (stack_id, restores) values ($1, $2) returning version"


async def begun(db, stack):
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'Build') returning id", stack)
    (claimed,) = await db.claim()
    return await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]}), str(todo)


def publishing(run, todo, content, **change):
    page = {"op": "publish_artifact", "content": content, "description": "d", "todo_id": todo, **change}
    return run | {"changes": [page, {"op": "finish_todo", "id": todo}]}


async def release(db):
    await db.admin.execute("update stack_schedule set lease_owner = null, lease_expires_at = null, due_at = now()")


async def published(db, stack, *pages):
    for number, page in enumerate(pages):
        await release(db)
        run, todo = await begun(db, stack)
        answer = await db.commit(publishing(run, todo, page, base=number, diff=f"+{page}"))
        assert answer["verdicts"][run["run_id"]] == "done"


async def test_a_version_keeps_its_diff_and_its_answers_to_issues(db):
    stack = await db.stack()
    await published(db, stack, PAGE + "1")
    await release(db)
    run, todo = await begun(db, stack)
    answers = [{"id": "v1:lang:1", "fixed": True, "note": "set"}]
    await db.commit(publishing(run, todo, PAGE + "2", base=1, diff="-1\n+2", answers=answers))
    rows = await db.admin.fetch(
        "select f.metadata, b.diff from artifacts f join artifact_bodies b on b.artifact_id = f.id order by f.version"
    )
    assert [row["diff"] for row in rows] == [None, "-1\n+2"]
    assert orjson.loads(rows[0]["metadata"]) == {"description": "d"}
    assert orjson.loads(rows[1]["metadata"])["answers"] == answers


async def test_an_operator_puts_an_older_version_back_and_the_stack_wakes(db):
    stack = await db.stack()
    await published(db, stack, PAGE + "1", PAGE + "2")
    before = await db.one("select wakes from stack_schedule where stack_id = $1", stack)
    (row,) = await db.as_operator(PUT_BACK, stack, 1)
    assert row["version"] == 3
    content = "select b.content from artifacts f join artifact_bodies b on b.artifact_id = f.id where f.version = $1"
    assert await db.one(content, 3) == PAGE + "1"
    assert await db.one(content, 2) == PAGE + "2", "nothing is taken away"
    assert await db.one("select created_by from artifacts where version = 3") == "operator"
    assert await db.one("select wakes from stack_schedule where stack_id = $1", stack) > before


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("insert into artifacts (stack_id, restores) values ($1, 7)", "has no version 7"),
        ("insert into artifacts (stack_id, restores) values ($1, 2)", "nothing to put back"),
        ("insert into artifacts (stack_id) values ($1)", "set restores"),
        ("insert into artifacts (stack_id, version) values ($1, 9)", "permission denied"),
        ("update artifacts set version = 9 where stack_id = $1", "permission denied"),
        ("delete from artifacts where stack_id = $1", "permission denied"),
    ],
)
async def test_what_an_operator_may_not_do_to_versions(db, sql, says):
    stack = await db.stack()
    await published(db, stack, PAGE + "1", PAGE + "2")
    with pytest.raises(asyncpg.PostgresError, match=says):
        await db.as_operator(sql, stack)


@pytest.mark.parametrize(("role", "app"), [("anon", None), ("authenticated", {"role": "operator", "read_only": True})])
async def test_others_put_nothing_back(db, role, app):
    stack = await db.stack()
    await published(db, stack, PAGE + "1", PAGE + "2")
    with pytest.raises(asyncpg.PostgresError):
        await db.as_person(PUT_BACK, stack, 1, role=role, app=app)
    assert await db.one("select max(version) from artifacts") == 2


async def test_a_page_built_upon_an_older_version_does_not_land_and_its_todo_is_tried_again(db):
    stack = await db.stack()
    await published(db, stack, PAGE + "1", PAGE + "2")
    await release(db)
    run, todo = await begun(db, stack)
    await db.as_operator(PUT_BACK, stack, 1)
    answer = await db.commit(publishing(run, todo, PAGE + "3", base=2))
    assert answer["verdicts"][run["run_id"]] == "failed"
    assert "3 is the newest" in answer["runs"][0]["reason"]
    assert await db.one("select status from todos where id = $1::uuid", todo) == "pending"
    assert await db.one("select max(version) from artifacts") == 3
