"""`supabase db advisors` finds nothing to warn of, whatever a project grants by default."""

from __future__ import annotations

import asyncio
import json

import asyncpg
from official_cli.cli import succeed, supabase

WARN = ("db", "advisors", "--fail-on", "warn")


def test_no_advice_to_be_warned_by(under_grants: str) -> None:
    done = supabase(*WARN, "--level", "warn", remote=under_grants)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_each_foreign_key_has_its_index_and_each_table_its_key(under_grants: str) -> None:
    advice = json.loads(succeed("db", "advisors", "--level", "info", remote=under_grants))
    # Nothing has been asked of this database yet, so every index looks unused.
    assert {found["name"] for found in advice} <= {"unused_index"}


def test_the_gate_bites(migrated: str) -> None:
    """A table as somebody makes it in a hurry, in a project that exposes what is made."""
    asyncio.run(_execute(migrated, "create table public.hurried (id int)"))
    try:
        done = supabase(*WARN, remote=migrated)
    finally:
        asyncio.run(_execute(migrated, "drop table public.hurried"))
    assert done.returncode != 0
    assert "rls_disabled_in_public" in done.stdout


async def _execute(remote: str, statement: str) -> None:
    connection = await asyncpg.connect(remote)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
