"""`stackbeat watch`: in a terminal of 80x24, in a pipe, and for programs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import Stack, eventually, stackbeat

from orchestrator.cli.errors import ExitCode

COLUMNS, LINES = 80, 24


@pytest.fixture
def stack_id(live_stack: Stack) -> Iterator[str]:
    made = live_stack.json("create", "Watched")
    yield str(made["id"])
    live_stack.run("delete", made["id"], "--yes")


class Terminal:
    """What a command wrote to its terminal so far."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self._descriptor = descriptor
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._descriptor, 65_536):
                self.text += data.decode(errors="replace")
        except OSError:
            pass  # the other end is closed

    def join(self) -> None:
        self._thread.join(10)


@contextmanager
def in_a_terminal(live_stack: Stack, *arguments: str) -> Iterator[Terminal]:
    """A command in a terminal of 80x24; ended by Ctrl-C's signal, which is a good end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**live_stack.environment, "TERM": "xterm"}
    process = subprocess.Popen(
        stackbeat(*arguments), cwd=live_stack.workdir, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    terminal = Terminal(ours)
    try:
        yield terminal
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        terminal.join()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        terminal.join()
        os.close(ours)


def test_the_fleet_in_a_terminal(live_stack: Stack, stack_id: str) -> None:
    with in_a_terminal(live_stack, "watch") as terminal:
        eventually(lambda: "Watched" in terminal.text and " live" in terminal.text, within=30, what="the fleet, live")
        before = len(terminal.text)
        live_stack.sql(f"update agent_stacks set participant_name = 'Renamed' where id = '{stack_id}'")
        eventually(lambda: "Renamed" in terminal.text[before:], within=15, what="the change")
    assert terminal.text.count("\x1b[?1049h") == terminal.text.count("\x1b[?1049l") == 1, "its own screen, given back"
    assert terminal.text.count("\x1b[2J") <= 1, "drawn over, never wiped: nothing flickers"
    assert "Traceback" not in terminal.text


def test_one_stack_in_a_terminal(live_stack: Stack, stack_id: str) -> None:
    with in_a_terminal(live_stack, "watch", stack_id) as terminal:
        eventually(lambda: "phase ideation" in terminal.text, within=30, what="the stack")
        live_stack.sql(
            "insert into agent_traces (stack_id, agent_type, thought, action) "
            f"values ('{stack_id}', 'planner', 'hm', 'plan')"
        )
        eventually(lambda: "planner plan: hm" in terminal.text, within=15, what="its trace")
        live_stack.run("delete", stack_id, "--yes")
        eventually(lambda: "the stack is deleted" in terminal.text, within=15, what="its end")


def test_a_pipe_gets_one_look(live_stack: Stack, stack_id: str) -> None:
    done = live_stack.run("watch")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Watched")]
    assert "idle" in line
    assert "0/0" in line
    assert live_stack.run("watch", "Nobody").returncode == ExitCode.NO_STACK


def test_programs_get_an_object_for_each_change(live_stack: Stack, stack_id: str, tmp_path: Path) -> None:
    out = tmp_path / "watch.out"
    with out.open("wb") as file:
        process = subprocess.Popen(
            stackbeat("watch", stack_id, "--json"),
            cwd=live_stack.workdir,
            env=live_stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
        )

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in out.read_text().splitlines()]

    try:
        eventually(told, within=30, what="the stack as it is")
        live_stack.sql(f"insert into todos (stack_id, content) values ('{stack_id}', 'a thing to do')")
        eventually(lambda: told()[-1]["open"] == 1, within=15, what="the new todo")
        live_stack.json("delete", stack_id, "--yes")
        eventually(lambda: told()[-1].get("deleted"), within=15, what="its end")
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    first = told()[0]
    assert (first["participant_name"], first["execution_state"], first["cost_usd"]) == ("Watched", "idle", 0)
    assert [one["id"] for one in told()] == [stack_id] * len(told())
