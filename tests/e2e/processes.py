"""Real processes for the end-to-end tests: `stackbeat up` in a folder of its own on free ports, and who looks at it.

Its Supabase is the minibase that it starts, or the one that was given (`given.py`).
"""

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
from given import GIVEN, ROOT
from supabase import Client, ClientOptions, create_client

from orchestrator.cli.operators import ensure_local_operator

DASHBOARD = ROOT / "dashboard"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 15

# Where these would come from, nobody knows; none of them may reach a process of a test.
OUTSIDE = ("SUPABASE_", "STACKBEAT_", "GROQ_", "OPENAI_", "DB_")


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
        """Run a statement as a person at a SQL prompt would; rows of text."""
        lines = self.psql("-qAt", "-F", "\x1f", "-c", statement).splitlines()
        return [line.split("\x1f") for line in lines]

    def psql(self, *options: str, stdin: str | None = None) -> str:
        """What `minibase psql` prints, or a plain psql on the database that was given."""
        arguments = ("-v", "ON_ERROR_STOP=1", *options)
        command = minibase("psql", *arguments) if GIVEN is None else GIVEN.psql(*arguments)
        done = self._run(command, 30, stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

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
    ports = [part for name in ("--port", "--db-port", "--web-port") for part in (name, "auto")]
    given = [] if GIVEN is None else ["--on", GIVEN.api_url]
    with (workdir / "up.log").open("a") as log:
        return subprocess.Popen(
            stackbeat("up", "--json", *ports, *given, *options),
            cwd=workdir,
            env=up_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def up_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The clean environment with the address and the keys that were given, if any were."""
    return clean_environment({**({} if GIVEN is None else GIVEN.environment), **(extra or {})})


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
        status = _read_status(workdir) if GIVEN is None else GIVEN.status
        operator = _make_operator() if started["operator"] is None else started["operator"]
        yield Stack(
            process=process,
            workdir=workdir,
            url=started["dashboard_url"],
            api_url=started["api_url"],
            db_url=status["DB_URL"],
            publishable_key=started["publishable_key"],
            service_key=status["SERVICE_ROLE_KEY"],
            operator_email=operator["email"],
            operator_password=operator["password"],
            started=started,
            environment=up_environment(),
        )
    finally:
        end(process)


def _read_status(workdir: Path) -> dict[str, str]:
    command = minibase("status", "-o", "json")
    done = subprocess.run(command, cwd=workdir, capture_output=True, text=True, check=True, timeout=30)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _make_operator() -> dict[str, str]:
    """Where `up` makes none unasked, the tests do."""
    assert GIVEN is not None
    login = ensure_local_operator(GIVEN.target, None)
    return {"email": login.email, "password": login.password}


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
