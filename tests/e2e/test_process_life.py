"""How `up` ends and comes back: Ctrl-C, kill -9, a second start on the same data."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import Stack, eventually, running_stack

from orchestrator.cli.errors import ExitCode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def processes_of(workdir: Path) -> list[str]:
    """Command lines of every process that belongs to this folder's stack: by its argument, folder or data."""
    marks = {str(workdir), *_data_folders(workdir)}
    return [line for line in _command_lines() if any(mark in line for mark in marks)]


def _data_folders(workdir: Path) -> set[str]:
    pointer = workdir / ".minibase" / "data-folder"
    return {pointer.read_text().strip()} if pointer.is_file() else set()


def _command_lines() -> list[str]:
    lines = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = os.readlink(folder / "cwd")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            lines.append(f"{folder.name} {command} (in {where})")
    return lines


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_up_with_0_within_5_s_and_leaves_nothing(workdir: Path, sent: signal.Signals) -> None:
    with running_stack(workdir) as stack:
        began = time.monotonic()
        stack.process.send_signal(sent)
        assert stack.process.wait(10) == 0, (workdir / "up.log").read_text()
        took = time.monotonic() - began
    assert took < 5
    assert processes_of(workdir) == []
    assert not (workdir / ".stackbeat" / "up.json").exists()


@pytest.mark.minibase_only("its minibase dies with `up` and comes back")
def test_kill_leaves_no_process_and_the_next_start_has_the_same_data(workdir: Path) -> None:
    with running_stack(workdir) as first:
        stacks = {row["id"] for row in first.json("ls")}
        eventually(lambda: _traces(first) > 0, within=20, what="a trace")
        traces = _traces(first)
        first.process.kill()
        first.process.wait(5)
        eventually(lambda: not processes_of(workdir), within=5, what="no process left after kill -9")
    with running_stack(workdir) as second:
        assert {row["id"] for row in second.json("ls")} == stacks
        assert _traces(second) >= traces
        assert second.started["played"] == []
        assert (second.url, second.api_url) == (first.url, first.api_url)
        assert second.operator_password == first.operator_password


@pytest.mark.minibase_only("its minibase is dying")
def test_a_start_right_after_kill_does_not_lean_on_what_is_dying(workdir: Path) -> None:
    with running_stack(workdir) as first:
        first.process.kill()
        first.process.wait(5)
        with running_stack(workdir) as second:
            assert second.json("ls")
            assert second.started["on"] == "minibase"


@pytest.mark.minibase_only("its minibase is gone afterwards")
def test_down_stops_it(workdir: Path) -> None:
    with running_stack(workdir) as stack:
        assert stack.json("down") == {"stopped": True, "pid": stack.process.pid}
        assert stack.process.wait(5) == 0
        nothing = stack.run("ls")
        assert nothing.returncode == ExitCode.NO_SUPABASE


@pytest.mark.minibase_only("only there does `up` write secrets")
def test_secrets_are_private(workdir: Path) -> None:
    with running_stack(workdir) as stack:
        folder = workdir / ".stackbeat"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for name in ("up.json", "operator.json"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert json.loads((folder / "operator.json").read_text())["email"] == stack.operator_email
        seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        assert stack.service_key not in seen
        assert stack.operator_password not in seen


def _traces(stack: Stack) -> int:
    return int(stack.sql("select count(*) from agent_traces")[0][0])
