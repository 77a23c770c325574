"""`stackbeat logs`: what happened, newest last; and with -f what happens, each line once, through cuts and outages."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.wire import Side, Wire
from processes import Stack, clean_environment, eventually, stackbeat

from orchestrator.cli.errors import ExitCode


@pytest.fixture
def stack_id(live_stack: Stack) -> Iterator[str]:
    made = live_stack.json("create", "Journal")
    yield str(made["id"])
    live_stack.json("delete", made["id"], "--yes")


def write(live_stack: Stack, stack_id: str, *thoughts: str) -> None:
    rows = ", ".join(f"('{stack_id}', 'planner', '{thought}', 'planning', clock_timestamp())" for thought in thoughts)
    live_stack.sql(f"insert into agent_traces (stack_id, agent_type, thought, action, created_at) values {rows}")


def fail_run(live_stack: Stack, stack_id: str, error: str) -> None:
    live_stack.sql(
        "insert into agent_executions (id, stack_id, agent_type, worker_id, fence, status, priority, reason, work_key, "
        f"completed_at, error) values (gen_random_uuid(), '{stack_id}', 'builder', gen_random_uuid(), 1, 'failed', 5, "
        f"'to build', 'k', clock_timestamp(), '{error}')"
    )


def test_what_happened_newest_last_with_failed_runs(live_stack: Stack, stack_id: str) -> None:
    write(live_stack, stack_id, "one")
    fail_run(live_stack, stack_id, "no such model")
    write(live_stack, stack_id, "three\n\x1b[31mlines")
    shown = live_stack.run("logs", "Journal")
    assert shown.returncode == 0, shown.stderr
    lines = [line.split(" ", 2)[2] for line in shown.stdout.splitlines()]
    assert lines == [
        "Journal: planner planning: one",
        "Journal: builder FAILED: no such model",
        "Journal: planner planning: three \ufffd[31mlines",
    ]
    newest = live_stack.json("logs", "Journal", "--lines", "2")
    assert [(entry["kind"], entry["what"]) for entry in newest] == [("error", "failed"), ("trace", "planning")]
    assert live_stack.json("logs", "Journal", "-n", "0") == []


def test_without_a_stack_there_are_all_and_an_unknown_one_is_said(live_stack: Stack) -> None:
    eventually(lambda: len({entry["stack"] for entry in live_stack.json("logs")}) > 1, within=30, what="some stacks")
    assert live_stack.run("logs", "Nobody").returncode == ExitCode.NO_STACK


@contextmanager
def following(live_stack: Stack, url: str, out: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that follows, its lines in `out`; ended by Ctrl-C's signal, which is a good end."""
    environment = clean_environment({"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": live_stack.service_key})
    with out.open("wb") as file, out.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(
            stackbeat(*arguments), cwd=out.parent, env=environment, stdout=file, stderr=errors, stdin=subprocess.DEVNULL
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def thoughts(out: Path) -> list[Any]:
    return [json.loads(line)["text"] for line in out.read_text().splitlines()]


def test_following_loses_and_doubles_nothing(live_stack: Stack, stack_id: str, tmp_path: Path) -> None:
    out = tmp_path / "logs.out"
    write(live_stack, stack_id, "old")
    with (
        Wire(live_stack.api_url).serve() as wire,
        following(live_stack, wire.url, out, "logs", "-f", "-n", "1", "--json", stack_id),
    ):
        eventually(lambda: thoughts(out) == ["old"], within=20, what="the last line of before")

        def written(*lines: str, within: float) -> float:
            began = time.monotonic()
            write(live_stack, stack_id, *lines)
            eventually(lambda: set(lines) <= set(thoughts(out)), within=within, what=f"{lines} are followed")
            return time.monotonic() - began

        written("first", within=10)
        wire.cut()
        written("without realtime", within=15)
        fail_run(live_stack, stack_id, "told without realtime")
        eventually(lambda: "told without realtime" in thoughts(out), within=15, what="the failed run")
        wire.mend()

        block = wire.block(Side.BEFORE, status=503)
        write(live_stack, stack_id, "during an outage", "and another")
        eventually(lambda: block.reached, within=15, what="a read that fails")
        wire.lift(block)
        eventually(lambda: "and another" in thoughts(out), within=20, what="what came during the outage")
        written("at the end", within=15)
    assert thoughts(out) == [
        "old",
        "first",
        "without realtime",
        "told without realtime",
        "during an outage",
        "and another",
        "at the end",
    ]
    errors = out.with_suffix(".err").read_text()
    assert errors.count("waiting: ") == errors.count("Supabase answers again") == 1
