"""A real minibase and real daemons against it, killed and frozen at will; leases of 2 s."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from processes import clean_environment, eventually, make_workdir, minibase, stackbeat

LEASE_S = 2.0
SETTINGS = {"STACKBEAT_LEASE_S": str(LEASE_S), "STACKBEAT_HEARTBEAT_S": "0.4", "STACKBEAT_CADENCE_S": "1"}
PATIENCE_S = 60
TEAM_SIZE = 4


class Place:
    """One project folder, its minibase and whoever works against it."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self._api: subprocess.Popen[bytes] | None = None
        self._values: dict[str, str] = {}

    def start(self) -> None:
        """Start minibase, on the ports of the last time; returns when it serves."""
        ports = ["auto", "auto"]
        if self._values:
            ports = [str(urlsplit(self._values[name]).port) for name in ("API_URL", "DB_URL")]
        command = minibase("start", "--port", ports[0], "--db-port", ports[1])
        with (self.workdir / "minibase.log").open("ab") as log:
            self._api = subprocess.Popen(command, cwd=self.workdir, stdout=log, stderr=log, env=clean_environment())
        eventually(self._status, within=60, what="minibase serves")

    def _status(self) -> bool:
        done = subprocess.run(minibase("status", "-o", "json"), cwd=self.workdir, capture_output=True, text=True)
        self._values = json.loads(done.stdout) if done.returncode == 0 else self._values
        return done.returncode == 0

    def end(self, sent: signal.Signals = signal.SIGINT) -> None:
        if self._api is not None:
            self._api.send_signal(sent)
            self._api.wait(20)
            self._api = None

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows of one statement, as somebody at a SQL prompt gets them."""
        with psycopg.connect(self._values["DB_URL"], autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    def one(self, statement: str, *values: Any) -> Any:
        return self.sql(statement, *values)[0][0]

    def until(self, statement: str, *values: Any, within: float = PATIENCE_S) -> Any:
        """The statement's single value once it is true."""
        return eventually(lambda: self.one(statement, *values), within=within, what=statement)

    def daemon(self, log: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        environment = clean_environment(
            {
                "SUPABASE_URL": self._values["API_URL"],
                "SUPABASE_SECRET_KEY": self._values["SECRET_KEY"],
                **SETTINGS,
                **settings,
            }
        )
        with log.open("ab") as file:
            return subprocess.Popen(
                stackbeat("run", "--json"), cwd=self.workdir, env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    def stack(self, name: str, *, todos: int = 1, state: str = "running") -> str:
        """A stack with an idea and something to build."""
        stack = self.one("insert into agent_stacks (participant_name) values (%s) returning id", name)
        self.sql("insert into project_ideas (stack_id, title, description) values (%s, 'A quiz', 'About owls')", stack)
        for n in range(todos):
            self.sql("insert into todos (stack_id, content, priority) values (%s, %s, 9)", stack, f"Build part {n}")
        self.sql("update agent_stacks set execution_state = %s, phase = 'building' where id = %s", state, stack)
        return str(stack)


@pytest.fixture(scope="module")
def minibase_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(make_workdir(tmp_path_factory.mktemp("faults") / "project"))
    (found.workdir / "supabase" / "seed.sql").write_text("")
    found.start()
    yield found
    found.end()


@pytest.fixture
def place(minibase_place: Place) -> Iterator[Place]:
    """The place, without any stack of another test."""
    yield minibase_place
    minibase_place.sql("delete from agent_stacks")


@pytest.fixture
def daemon(place: Place, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a daemon whose simulated model takes `latency` seconds; all of them are ended afterwards."""
    with ExitStack() as stack:

        def start(latency: str, **settings: str) -> subprocess.Popen[bytes]:
            log = tmp_path / "daemons.log"
            process = place.daemon(log, {"STACKBEAT_SIMULATED_LATENCY": latency, **settings})
            stack.callback(_end, process)
            return process

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait(10)
