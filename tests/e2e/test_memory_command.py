"""`stackbeat memory`: what a living stack remembers, read and edited from the command line."""

from __future__ import annotations

from processes import Stack, eventually

from orchestrator.cli.errors import ExitCode


def test_an_operator_reads_searches_and_edits_a_stack_s_memory(live_stack: Stack) -> None:
    live_stack.json("create", "Elephants", "--idea", "A list of birds")
    assert "Elephants remembers nothing" in live_stack.run("memory", "ls", "Elephants").stdout
    made = live_stack.json("memory", "add", "Elephants", "Visitors like dark colours", "--importance", "9")
    live_stack.run("memory", "add", "Elephants", "-", "--agent", "builder", stdin="Keep it in one file\n")
    rows = live_stack.json("memory", "ls", "Elephants")
    assert [(row["agent_type"], row["content"]) for row in rows] == [
        ("planner", "Visitors like dark colours"),
        ("builder", "Keep it in one file"),
    ]
    assert rows[0]["run_id"] is None
    found = live_stack.json("memory", "ls", "Elephants", "--search", "which file?")
    assert found[0]["content"] == "Keep it in one file"
    assert len(live_stack.json("memory", "ls", "Elephants", "--agent", "builder")) == 1

    changed = live_stack.json("memory", "edit", "Elephants", made["id"][:8], "--text", "Visitors like bright colours")
    assert changed["content"] == "Visitors like bright colours"
    assert "forgotten: Visitors like bright" in live_stack.run("memory", "forget", "Elephants", made["id"]).stdout
    assert live_stack.run("memory", "forget", "Elephants", made["id"]).returncode == ExitCode.REFUSED
    assert live_stack.run("memory", "edit", "Elephants", made["id"]).returncode == ExitCode.USAGE
    assert live_stack.run("memory", "add", "Elephants", "x" * 501).returncode == ExitCode.USAGE

    live_stack.json("play", "Elephants")
    live_stack.json("say", "Elephants", "Please add a way to share the list", "--as", "Ada")

    def learned() -> bool:
        rows = live_stack.json("memory", "ls", "Elephants", "--search", "Ada wishes")
        return any("Ada wishes" in row["content"] and row["run_id"] for row in rows)

    eventually(learned, within=30, what="what the communicator learned from Ada")
    live_stack.json("delete", "Elephants", "--yes")
