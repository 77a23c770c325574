"""`stackbeat cost` and `stackbeat budget` against a living fleet."""

from __future__ import annotations

from processes import Stack, eventually

from orchestrator.cli.errors import ExitCode


def test_the_costs_of_a_fleet_by_everything(live_stack: Stack) -> None:
    eventually(lambda: live_stack.json("cost")["total"]["calls"] > 3, within=60, what="calls in the ledger")
    by_role = live_stack.json("cost")
    assert by_role["total"]["calls"] == sum(row["calls"] for row in by_role["rows"])
    assert {row["role"] for row in by_role["rows"]} <= {"planner", "builder", "communicator", "reviewer"}
    models = {row["model"]: row["calls"] for row in live_stack.json("cost", "--by", "model")["rows"]}
    assert models["simulated-v1"] > 3, "what other tests write into this ledger has other names"
    assert {row["stack"] for row in live_stack.json("cost", "--by", "stack")["rows"]} >= {"Night Owls"}
    assert live_stack.json("cost", "--by", "hour")["rows"][-1]["calls"] > 0
    one = live_stack.json("cost", "--stack", "Night Owls")["total"]
    assert 0 < one["calls"] < by_role["total"]["calls"]
    lines = live_stack.run("cost").stdout.splitlines()
    assert lines[0].split("\t") == ["ROLE", "CALLS", "FAILED", "IN", "CACHED", "OUT", "USD"]
    assert lines[-1].startswith("all\t")


def test_a_budget_in_tokens_stops_a_stack_and_raising_it_lets_it_go_on(live_stack: Stack) -> None:
    made = live_stack.json("create", "Thrifty", "--idea", "A list of birds")
    live_stack.json("budget", "set", "--tokens", "1", "--stack", "Thrifty")
    live_stack.json("play", "Thrifty")

    def reason() -> str:
        row = next(row for row in live_stack.json("ls") if row["id"] == made["id"])
        return row["wait_reason"] or ""

    eventually(lambda: reason().startswith("budget exhausted"), within=20, what="the reason why it waits")
    assert reason().startswith("budget exhausted: this stack may spend 1 tokens a day")
    assert live_stack.json("cost", "--stack", "Thrifty")["total"]["calls"] == 0
    [row] = [row for row in live_stack.json("budget", "ls") if row["stack_id"] == made["id"]]
    assert (row["tokens"], row["used_tokens"], row["stack"]) == (1, 0, "Thrifty")

    raised = live_stack.run("budget", "set", "--tokens", "1000000", "--stack", "Thrifty")
    assert raised.stdout.startswith("Thrifty may spend 1000000 tokens a day")
    eventually(
        lambda: live_stack.json("cost", "--stack", "Thrifty")["total"]["calls"] > 0, within=20, what="a call after that"
    )
    assert "again" in live_stack.run("budget", "lift", "--stack", "Thrifty").stdout
    assert live_stack.run("budget", "lift", "--stack", "Thrifty").returncode == ExitCode.REFUSED
    live_stack.json("delete", "Thrifty", "--yes")


def test_a_budget_needs_an_amount(live_stack: Stack) -> None:
    done = live_stack.run("budget", "set", "--role", "builder")
    assert done.returncode == ExitCode.USAGE
    assert "--usd or --tokens" in done.stderr
