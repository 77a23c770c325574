"""The main job: `stackbeat up` alone, and the three demo stacks get somewhere."""

from __future__ import annotations

import urllib.request
from typing import Any

import pytest
from given import GIVEN
from postgrest.exceptions import APIError
from processes import Stack, eventually, supabase_client

from orchestrator.cli.errors import ExitCode

DEMO = ["Night Owls", "Paper Boats", "Third Shelf"]


def test_the_first_start_plays_the_demo_stacks_and_says_that_the_model_is_simulated(live_stack: Stack) -> None:
    assert live_stack.started["played"] == DEMO
    assert live_stack.started["simulated"] is True
    assert live_stack.started["on"] == ("minibase" if GIVEN is None else "url")


def test_the_three_demo_stacks_each_reach_an_artifact(live_stack: Stack) -> None:
    def versions() -> bool:
        rows = live_stack.sql(
            "select s.participant_name from agent_stacks s join artifacts a on a.stack_id = s.id group by 1 order by 1"
        )
        return {row[0] for row in rows} >= set(DEMO)

    eventually(versions, within=60, what="an artifact of each demo stack")
    for name in DEMO:
        shown = live_stack.json("show", name)
        assert shown["traces"]
        assert all(trace["simulated"] for trace in shown["traces"])
        assert shown["artifacts"][0]["version"] >= 1


def test_every_command_that_looks_prints_the_same_stacks(live_stack: Stack) -> None:
    listed = live_stack.json("ls")
    assert {row["participant_name"] for row in listed} >= set(DEMO)
    plain = live_stack.run("ls")
    assert plain.returncode == 0
    lines = plain.stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["NAME", "STATE", "PHASE"]
    assert {line.split("\t")[0] for line in lines[1:]} >= set(DEMO)
    assert "\x1b" not in plain.stdout


def test_the_dashboard_server_answers(live_stack: Stack) -> None:
    with urllib.request.urlopen(f"{live_stack.url}/config.json") as answer:
        assert live_stack.publishable_key in answer.read().decode()
        assert live_stack.api_url.rpartition(":")[2] in answer.headers["Content-Security-Policy"]


def test_the_operator_of_the_first_start_may_steer(live_stack: Stack) -> None:
    with supabase_client(live_stack, live_stack.publishable_key) as client:
        client.auth.sign_in_with_password(
            {"email": live_stack.operator_email, "password": live_stack.operator_password}
        )
        stack = _insert(client, "Steered")
        client.table("agent_stacks").update({"execution_state": "running"}).eq("id", stack).execute()
        (row,) = client.table("agent_stacks").select("execution_state").eq("id", stack).execute().data
        assert row == {"execution_state": "running"}
        client.table("agent_stacks").delete().eq("id", stack).execute()
        assert client.table("agent_stacks").select("id").eq("id", stack).execute().data == []


def test_a_second_up_says_what_runs_here_and_leaves_it_alone(live_stack: Stack) -> None:
    second = live_stack.json("up")
    assert second["already_running"] is True
    assert second["pid"] == live_stack.process.pid
    assert second["dashboard_url"] == live_stack.url
    assert live_stack.process.poll() is None


def test_create_play_show_and_delete(live_stack: Stack) -> None:
    made = live_stack.json("create", "Lantern", "--idea", "A shopping list that sorts itself", "--play")
    assert made["execution_state"] == "running"
    eventually(lambda: live_stack.json("show", made["id"])["traces"], within=20, what="a trace of the new stack")
    assert live_stack.json("show", "lantern")["idea"]["title"] == "A shopping list that sorts itself"
    assert live_stack.json("stop", "Lantern")[0]["execution_state"] == "stopped"
    assert [row["id"] for row in live_stack.json("delete", "Lantern", "--yes")] == [made["id"]]
    gone = live_stack.run("show", "Lantern")
    assert (gone.returncode, gone.stdout) == (ExitCode.NO_STACK, "")
    assert "'Lantern'" in gone.stderr


def test_say_gets_exactly_one_answer(live_stack: Stack) -> None:
    made = live_stack.json("create", "Talker", "--idea", "A reading list", "--play")
    said = live_stack.json("say", "Talker", "What are you building?", "--as", "Ada", "--wait")
    assert said["answer"]
    rows = live_stack.sql(
        f"select u.status, u.sender_name, count(m.id) from user_messages u join messages m on m.id = u.response_id "
        f"where u.id = '{said['id']}' group by 1, 2"
    )
    assert rows == [["answered", "Ada", "1"]]
    live_stack.json("delete", made["id"], "--yes")


def test_tick_runs_one_cycle_of_a_stack_that_stands_still(live_stack: Stack) -> None:
    made = live_stack.json("create", "By Hand")
    report = live_stack.json("tick", "By Hand")
    assert [run["agent"] for run in report["runs"]] == ["planner"]
    assert report["runs"][0]["status"] == "completed"
    live_stack.json("delete", made["id"], "--yes")


def test_operator_add_makes_one_who_looks_only(live_stack: Stack) -> None:
    made = live_stack.json("operator", "add", "looker@example.com", "--read-only")
    with supabase_client(live_stack, live_stack.publishable_key) as client:
        client.auth.sign_in_with_password({"email": "looker@example.com", "password": made["password"]})
        assert client.table("agent_executions").select("id").limit(1).execute().data
        update = client.table("agent_stacks").update({"priority": 9}).eq("participant_name", "Night Owls")
        assert update.execute().data == []
    again = live_stack.json("operator", "add", "looker@example.com")
    assert again["password"] is None


def _insert(client: Any, name: str) -> str:
    (row,) = client.table("agent_stacks").insert({"participant_name": name}).execute().data
    return str(row["id"])


@pytest.mark.parametrize("word", ["", "flying"])
def test_an_illegal_state_word_is_refused_with_a_sentence(live_stack: Stack, word: str) -> None:
    with supabase_client(live_stack, live_stack.service_key) as client:
        update = client.table("agent_stacks").update({"execution_state": word}).eq("participant_name", "Night Owls")
        with pytest.raises(APIError) as raised:
            update.execute()
    assert raised.value.message
    assert raised.value.code not in {None, "500"}
