"""Real processes for the end-to-end tests: `stackbeat up` in a folder of its own on free ports, and who looks at it."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from supabase import Client, ClientOptions, create_client

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "dashboard"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 15

# Where these would come from, nobody knows; none of them may reach a process of a test.
OUTSIDE = ("SUPABASE_", "STACKBEAT_", "GROQ_", "OPENAI_")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any setting of ours, offline, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
    return {**kept, "NO_COLOR": "1", "STACKBEAT_OFFLINE": "1", **(extra or {})}


def stackbeat(*arguments: str) -> list[str]:
    """The command line of a `stackbeat` command, with the Python of the tests."""
    return [sys.executable, "-c", "from orchestrator.cli import main; main(prog_name='stackbeat')", *arguments]


def minibase(*arguments: str) -> list[str]:
    """The command line of a `minibase` command, with the Python of the tests."""
    return [sys.executable, "-m", "minibase.cli", *arguments]


def find_node() -> str:
    """The machine's Node, or the one that scripts/_setup.sh put beside the Python of the tests."""
    beside = Path(sys.prefix) / "node" / "bin" / "node"
    node = str(beside) if beside.exists() else shutil.which("node")
    assert node, "no Node: scripts/_setup.sh brings one"
    return node


def eventually(observe: Callable[[], Any], *, within: float, what: str) -> Any:
    """The first truthy thing that `observe` returns; fails the test after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        seen = observe()
        if seen:
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:g} s: {what} (last seen: {seen!r})")
        time.sleep(0.05)  # between two looks; the wait itself ends with what is seen


@dataclass(kw_only=True)
class Stack:
    """A running `stackbeat up` and where its parts are."""

    process: subprocess.Popen[str]
    workdir: Path
    url: str
    api_url: str
    db_url: str
    publishable_key: str
    service_key: str
    operator_email: str
    operator_password: str
    started: dict[str, Any]
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, timeout: float = 60, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a `stackbeat` command in this stack's folder."""
        return self._run(stackbeat(*arguments), timeout, stdin)

    def json(self, *arguments: str, timeout: float = 60) -> Any:
        """What a `stackbeat` command prints with --json; fails the test where it fails."""
        done = self.run(*arguments, "--json", timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def sql(self, statement: str) -> list[list[str]]:
        """Run a statement with `minibase psql`, as a person at a SQL prompt would; rows of text."""
        done = self._run(minibase("psql", "-v", "ON_ERROR_STOP=1", "-qAt", "-F", "\x1f", "-c", statement), 30, None)
        assert done.returncode == 0, done.stderr
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def _run(self, command: list[str], timeout: float, stdin: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.workdir,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


@contextmanager
def supabase_client(stack: Stack, key: str) -> Iterator[Client]:
    """supabase-py with one of the stack's keys; its sockets are closed afterwards."""
    with httpx.Client(timeout=20) as http:
        yield create_client(stack.api_url, key, ClientOptions(httpx_client=http, auto_refresh_token=False))


def make_workdir(folder: Path) -> Path:
    """A project's folder: supabase/ and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "supabase", folder / "supabase")
    return folder


def start_up(workdir: Path, *options: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `stackbeat up --json` on free ports; its other words go to `up.log` in the folder."""
    command = stackbeat("up", "--json", "--port", "auto", "--db-port", "auto", "--web-port", "auto", *options)
    with (workdir / "up.log").open("a") as log:
        return subprocess.Popen(
            command,
            cwd=workdir,
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def read_start(process: subprocess.Popen[str], workdir: Path) -> dict[str, Any]:
    """The one JSON line by which `up --json` says that everything runs."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        ready = selector.select(START_TIMEOUT_S)
    line = process.stdout.readline() if ready else ""
    assert line, f"`up` did not start (exit code {process.poll()}): {(workdir / 'up.log').read_text()}"
    found: dict[str, Any] = json.loads(line)
    return found


@contextmanager
def running_stack(workdir: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A running `up` in `workdir`; stopped afterwards, whatever the test did to it."""
    process = start_up(workdir, *options, environment=environment)
    try:
        started = read_start(process, workdir)
        secrets = json.loads(
            subprocess.run(
                minibase("status", "-o", "json"), cwd=workdir, capture_output=True, text=True, check=True, timeout=30
            ).stdout
        )
        yield Stack(
            process=process,
            workdir=workdir,
            url=started["dashboard_url"],
            api_url=started["api_url"],
            db_url=secrets["DB_URL"],
            publishable_key=started["publishable_key"],
            service_key=secrets["SERVICE_ROLE_KEY"],
            operator_email=started["operator"]["email"],
            operator_password=started["operator"]["password"],
            started=started,
            environment=clean_environment(),
        )
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Stop `up` by Ctrl-C's signal, or by force where that does not work."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
