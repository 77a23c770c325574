"""One project folder with its minibase, and whoever works against it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from given import GIVEN
from processes import clean_environment, eventually, minibase, stackbeat

LEASE_S = 2.0
HEARTBEAT_S = 0.4
# The timer is long: what is promised within a lease must not need it. Stacks have a cadence of their own.
SETTINGS = {
    "STACKBEAT_LEASE_S": str(LEASE_S),
    "STACKBEAT_HEARTBEAT_S": str(HEARTBEAT_S),
    "STACKBEAT_CADENCE_S": "10",
    "STACKBEAT_REQUEST_TIMEOUT_S": "2",
}
CADENCE_S = 1
PATIENCE_S = 60


class Place:
    """A minibase that can be killed and started again on the same ports; its database as at a SQL prompt.

    Where a Supabase was given it is that one, which nobody starts or kills here.
    """

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self._api: subprocess.Popen[bytes] | None = None
        self._values: dict[str, str] = {} if GIVEN is None else GIVEN.status
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def url(self) -> str:
        return self._values["API_URL"]

    def start(self) -> None:
        """Start minibase unless it runs, on the ports of the last time; returns when it serves."""
        if GIVEN is not None or (self._api is not None and self._api.poll() is None):
            return
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
        self.forget()
        if self._api is not None:
            self._api.send_signal(sent)
            self._api.wait(20)
            self._api = None

    def forget(self) -> None:
        """Drop the connection: whoever was at its other end is gone."""
        if self._connection is not None:
            self._connection.close()

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of one's own, for a transaction that stays open."""
        return psycopg.connect(self._values["DB_URL"])

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Rows of one statement, as somebody at a SQL prompt gets them."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._values["DB_URL"], autocommit=True)
        cursor = self._connection.execute(statement, values)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []

    def one(self, statement: str, *values: Any) -> Any:
        return self.sql(statement, *values)[0][0]

    def until(self, statement: str, *values: Any, within: float = PATIENCE_S) -> Any:
        """The statement's single value once it is true; a database that is away is waited for."""

        def look() -> Any:
            try:
                return self.one(statement, *values)
            except psycopg.OperationalError:
                return None

        return eventually(look, within=within, what=statement)

    def stack(self, name: str, *, todos: int = 1, visitor: bool = False, state: str = "running") -> str:
        """A stack with an idea, something to build and, if wanted, a visitor who waits for an answer."""
        stack = self.one(
            "insert into agent_stacks (participant_name, phase, cadence_s) values (%s, 'building', %s) returning id",
            name,
            CADENCE_S,
        )
        self.sql("insert into project_ideas (stack_id, title, description) values (%s, 'A quiz', 'About owls')", stack)
        for n in range(todos):
            self.sql("insert into todos (stack_id, content, priority) values (%s, %s, 9)", stack, f"Build part {n}")
        if visitor:
            self.sql("insert into user_messages (stack_id, content) values (%s, 'hello?')", stack)
        self.move(state, stack)
        return str(stack)

    def move(self, state: str, *stacks: str) -> None:
        """What a person does: a plain UPDATE of the state, of all stacks where none is named."""
        self.sql(
            "update agent_stacks set execution_state = %s where cardinality(%s::uuid[]) = 0 or id = any (%s::uuid[])",
            *(state, list(stacks), list(stacks)),
        )

    def daemon(self, log: Path, url: str, settings: Mapping[str, str], *options: str) -> subprocess.Popen[bytes]:
        """`stackbeat run` against `url`, its facts in `log`."""
        access = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": self._values["SERVICE_ROLE_KEY"]}
        with log.open("ab") as file:
            return subprocess.Popen(
                stackbeat("run", "--json", *options),
                cwd=self.workdir,
                env=clean_environment({**access, **SETTINGS, **settings}),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
