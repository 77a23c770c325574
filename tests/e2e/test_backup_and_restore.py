"""Backup, reset, restore: the fleet continues exactly where it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from processes import Stack, clean_environment, eventually, make_workdir, minibase, running_stack, supabase_client
from supabase import ClientOptions, create_client

from orchestrator.cli.embedded import discard_data

RUNNING = "select id from agent_stacks where execution_state = 'running'"
TABLES = """
    select format('select %L, md5(coalesce(string_agg(t::text, chr(10) order by t::text), %L)) from %s t',
                  name, '', name)
    from (
        select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = relnamespace
        where relkind = 'r' and nspname in ('public', 'internal', 'auth', 'supabase_migrations')
    ) tables
"""


def run(workdir: Path, *arguments: str) -> str:
    done = subprocess.run(
        minibase(*arguments), cwd=workdir, env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(workdir: Path, statement: str) -> set[str]:
    return set(run(workdir, "psql", "-XqAt", "-F=", "-c", statement).splitlines())


def fingerprints(workdir: Path) -> dict[str, str]:
    """What every table holds, by a hash of its rows."""
    statements = sorted(line for line in lines(workdir, TABLES) if line.strip())
    return dict(line.split("=") for line in lines(workdir, " union all ".join(statements)))


def traces(stack: Stack) -> set[str]:
    return {row[0] for row in stack.sql("select id from agent_traces")}


@pytest.mark.minibase_only("`minibase backup`, `reset`, `restore` and `move`")
def test_backup_reset_restore_and_the_fleet_continues(workdir: Path) -> None:
    file = workdir / "backup.zip"
    settings = {"STACKBEAT_SIMULATED_LATENCY": "0", "STACKBEAT_CADENCE_S": "1"}
    with running_stack(workdir, environment=settings) as before:
        eventually(lambda: len(traces(before)) >= 3, within=30, what="traces")
        before.sql("insert into todos (stack_id, content) select id, 'Mine' from agent_stacks")
        with supabase_client(before, before.publishable_key) as client:
            credentials = {"email": before.operator_email, "password": before.operator_password}
            session = client.auth.sign_in_with_password(credentials).session
            assert session is not None

    run(workdir, "start", "--port", "auto", "--db-port", "auto", "--detach")
    kept = fingerprints(workdir)
    run(workdir, "backup", str(file))
    run(workdir, "reset")
    emptied = fingerprints(workdir)
    assert {name for name in kept if emptied[name] != kept[name]} > {"agent_traces", "agent_states", "auth.users"}
    run(workdir, "restore", str(file))
    assert fingerprints(workdir) == kept
    move_to_another(workdir, workdir.parent / "target", kept, credentials)
    running, old = lines(workdir, RUNNING), lines(workdir, "select id from agent_traces")
    run(workdir, "stop")

    with running_stack(workdir, environment=settings) as after:
        assert (after.publishable_key, after.service_key) == (before.publishable_key, before.service_key)
        assert after.started["played"] == [], "no first start: nothing is played again"
        assert running
        assert {row["id"] for row in after.json("ls") if row["execution_state"] == "running"} == running
        eventually(lambda: traces(after) > old, within=30, what="new traces beside all the old ones")
        with supabase_client(after, after.publishable_key) as client:
            refreshed = client.auth.refresh_session(session.refresh_token)
            assert refreshed.user is not None
            assert refreshed.user.email == before.operator_email
            client.auth.sign_in_with_password(credentials)


def move_to_another(workdir: Path, target: Path, kept: dict[str, str], credentials: dict[str, str]) -> None:
    """All that the stacks are, and who may sign in, to a project that was just made; nothing changes here."""
    make_workdir(target)
    (target / "supabase" / "seed.sql").write_text("")
    try:
        run(target, "start", "--port", "auto", "--db-port", "auto", "--detach")
        values = json.loads(run(target, "status", "-o", "json"))
        run(workdir, "move", "--to", values["DB_URL"])
        moved = fingerprints(target)
        differing = {name for name in kept if moved[name] != kept[name]}
        # Sessions stay behind; so does the bookkeeping, which the target's own migrations have written.
        assert all(name.startswith(("auth.", "supabase_migrations.")) for name in differing), differing
        assert not differing & {"auth.users", "auth.identities"}
        with httpx.Client(timeout=20) as http:
            client = create_client(
                values["API_URL"], values["PUBLISHABLE_KEY"], ClientOptions(httpx_client=http, auto_refresh_token=False)
            )
            user = client.auth.sign_in_with_password(credentials).user
            assert user is not None
            assert user.app_metadata["role"] == "operator"
    finally:
        run(target, "stop")
        discard_data(target)
    assert fingerprints(workdir) == kept
