"""What `scripts/test --on URL` does to what it is given: takes nothing somebody would miss, and makes it as new."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from given import Given, made_tables, read_given

from .conftest import World


def given(world: World) -> Given:
    return Given(api_url=world.url, publishable_key=world.public_key, service_key=world.key, db_url=world.dsn)


async def test_somebody_s_stacks_are_not_deleted_unasked(world: World) -> None:
    ours = given(world)
    await run_sync(ours.renew)
    assert await run_sync(partial(ours.refusal, may_empty=False)) is None, "the demo stacks are nobody's"
    await world.stack("Precious")
    refusal = await run_sync(partial(ours.refusal, may_empty=False))
    assert refusal is not None
    assert f"{world.url}, and there are stacks beside the demo ones (1)" in refusal
    assert "--empty" in refusal
    assert await run_sync(partial(ours.refusal, may_empty=True)) is None


async def test_renewed_it_holds_what_migrations_and_seed_bring(world: World) -> None:
    async def rows() -> dict[str, Any]:
        names = await world.admin.fetch("select n from unnest($1::text[]) n where to_regclass(n) is not null", tables)
        return {name: await world.admin.fetchval(f"select count(*) from {name}") for (name,) in names}

    tables = [*made_tables(), "internal.chat_limits"]
    ours = given(world)
    await run_sync(ours.renew)
    new = await rows()
    assert (new["public.agent_stacks"], new["internal.chat_limits"]) == (3, 2)
    stack = await world.stack("Gone", state="idle")
    await world.admin.execute("insert into public.todos (stack_id, content) values ($1, 'Mine')", stack)
    await world.admin.execute("insert into public.budgets (per, usd) values ('day', 1)")
    assert await rows() != new
    await run_sync(ours.renew)
    assert await rows() == new
    await run_sync(partial(ours.renew, seeded=False))
    assert (await rows())["public.agent_stacks"] == 0


def test_it_is_read_from_what_scripts_test_exports_and_shows_no_key() -> None:
    ours = Given(api_url="http://h", publishable_key="public", service_key="secret", db_url="postgresql://x:pass@h")
    environ = {
        "TEST_ON_URL": "http://h/",
        "TEST_ON_PUBLIC_KEY": "public",
        "TEST_ON_SERVICE_KEY": "secret",
        "TEST_ON_DB_URL": "postgresql://x:pass@h",
    }
    assert read_given(environ) == ours
    assert read_given({}) is None
    shown = repr(replace(ours, api_url="http://other"))
    assert not any(word in shown for word in ("secret", "public", "pass"))
