"""Pause and play by SQL, supabase-py, supabase-js and the command line: equals, for all of them are one UPDATE."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from processes import DASHBOARD, Stack, eventually, find_node, supabase_client

Move = Callable[[Stack, str, str], None]


def by_sql(stack: Stack, name: str, state: str) -> None:
    stack.sql(f"update agent_stacks set execution_state = '{state}' where participant_name = '{name}'")


def by_client(stack: Stack, name: str, state: str) -> None:
    with supabase_client(stack, stack.service_key) as client:
        client.table("agent_stacks").update({"execution_state": state}).eq("participant_name", name).execute()


def by_javascript(stack: Stack, name: str, state: str) -> None:
    settings = {"API_URL": stack.api_url, "KEY": stack.service_key, "NAME": name, "STATE": state}
    command = [find_node(), "test/set_state.mjs"]
    done = subprocess.run(
        command, cwd=DASHBOARD, env={**stack.environment, **settings}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"execution_state": state}


def by_command(stack: Stack, name: str, state: str) -> None:
    stack.json({"paused": "pause", "running": "resume"}[state], name)


def changed_at(stack: Stack, stack_id: str) -> str:
    return stack.sql(f"select to_json(updated_at) #>> '{{}}' from agent_stacks where id = '{stack_id}'")[0][0]


@pytest.mark.parametrize("move", [by_sql, by_client, by_javascript, by_command])
def test_pause_starts_nothing_new_and_resume_starts_the_next_run(live_stack: Stack, move: Move) -> None:
    name = f"Moved {move.__name__}"
    made = live_stack.json("create", name, "--idea", "A quiz about rivers", "--play")
    with supabase_client(live_stack, live_stack.service_key) as client:

        def runs_since(moment: str = "1970-01-01") -> list[dict[str, str]]:
            runs = client.table("agent_executions").select("id,status,started_at").eq("stack_id", made["id"])
            return runs.gt("started_at", moment).order("started_at").execute().data

        def now() -> str:
            return live_stack.sql("select clock_timestamp()")[0][0]

        eventually(runs_since, within=20, what="a first run")
        move(live_stack, name, "paused")
        eventually(
            lambda: not [run for run in runs_since() if run["status"] == "running"],
            within=10,
            what="runs in flight landed",
        )
        paused_at = now()
        # Something to do must be waiting, or starting nothing would prove nothing.
        live_stack.json("say", name, "Are you there?")
        time.sleep(2)  # a visitor is answered at once, without waiting for the timer: longer than that takes
        assert runs_since(paused_at) == []

        move(live_stack, name, "running")
        moved_at = datetime.fromisoformat(changed_at(live_stack, made["id"]))
        runs = eventually(lambda: runs_since(paused_at), within=5, what="the next run after resuming")
        # Both by the database's clock: looking on takes longer than what is looked for.
        assert (datetime.fromisoformat(runs[0]["started_at"]) - moved_at).total_seconds() < 1
    live_stack.json("delete", made["id"], "--yes")


def test_an_update_without_where_pauses_all_and_moves_nothing_that_stands(live_stack: Stack) -> None:
    idle = live_stack.json("create", "Standing")
    before = {row["id"]: row["execution_state"] for row in live_stack.json("ls")}
    live_stack.sql("update agent_stacks set execution_state = 'paused'")
    after = {row["id"]: row["execution_state"] for row in live_stack.json("ls")}
    assert after[idle["id"]] == "idle"
    assert {after[key] for key, state in before.items() if state == "running"} <= {"paused", "idle"}
    live_stack.json("resume", "--all")
    resumed = {row["id"]: row["execution_state"] for row in live_stack.json("ls")}
    assert "paused" not in resumed.values()
    assert resumed[idle["id"]] == "idle"
    live_stack.json("delete", "Standing", "--yes")
