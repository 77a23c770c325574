"""What `stackbeat doctor` asks the database, and that what it expects is what our migrations make."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from orchestrator.doctor.schema import EXPECTED_FILE, NEEDED_BY_THE_SERVICE, expectation

RENEW = "RENEW_EXPECTED=1 .venv/bin/pytest tests/database/test_inspect.py"


async def test_what_the_doctor_expects_is_what_the_migrations_make(db: Any) -> None:
    made = await db.verb("inspect")
    found = {"tables": made["tables"], "functions": made["functions"]}
    for table in found["tables"].values():
        table["grants"]["service_role"] = [
            word for word in table["grants"]["service_role"] if word in NEEDED_BY_THE_SERVICE
        ]
    if os.environ.get("RENEW_EXPECTED"):
        EXPECTED_FILE.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    assert expectation() == found, f"the migrations make another database; if that is right, run: {RENEW}"


async def test_it_says_what_a_mistake_did(db: Any) -> None:
    await db.admin.execute("grant update (name), select on public.workers to anon")
    await db.admin.execute("alter table public.todos disable row level security")
    await db.admin.execute("alter publication supabase_realtime drop table public.todos")
    await db.admin.execute("alter table public.messages replica identity nothing")
    await db.admin.execute("""create policy "oops" on public.workers for update to anon using (true)""")
    await db.admin.execute("grant execute on function public.prune(jsonb) to authenticated")
    tables = (answer := await db.verb("inspect"))["tables"]
    assert tables["workers"]["grants"]["anon"] == ["select", "update(name)"]
    assert tables["workers"]["policies"]["oops"] == "UPDATE anon"
    assert (tables["todos"]["rls"], tables["todos"]["published"]) == (False, False)
    assert tables["messages"]["identity"] == "nothing"
    assert answer["functions"]["public.prune(jsonb)"] == ["authenticated", "service_role"]


async def test_the_record_of_the_migrations_is_told_where_there_is_one(db: Any) -> None:
    assert (await db.verb("inspect"))["migrations"] is None
    await db.admin.execute("create schema if not exists supabase_migrations")
    await db.admin.execute("create table supabase_migrations.schema_migrations (version text primary key)")
    await db.admin.execute("insert into supabase_migrations.schema_migrations values ('2'), ('1')")
    assert (await db.verb("inspect"))["migrations"] == ["1", "2"]


async def test_the_time_is_the_databases(db: Any) -> None:
    await db.set_clock("2030-01-01T00:00:00Z")
    assert (await db.verb("inspect"))["now"].startswith("2030-01-01T00:00:00")


@pytest.mark.parametrize("verb", ["inspect", "blink"])
@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_people_may_not_ask(db: Any, verb: str, role: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person(f"select public.{verb}('{{}}')", role=role, app={"role": "operator"})


async def test_a_blink_leaves_nothing(db: Any) -> None:
    await db.stack()
    before = await db.one("select max(woken_at) from agent_stacks")
    identifier = str(uuid4())
    assert await db.verb("blink", id=identifier) == {"id": identifier}
    assert await db.one("select count(*) from messages") == 0
    assert await db.one("select max(woken_at) from agent_stacks") == before
