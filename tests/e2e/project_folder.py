"""A project folder and the `minibase` commands run in it: real processes, as people and programs start them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minibase.postgres.account import Account
from minibase.postgres.binaries import find_binaries

ROOT = Path(__file__).parents[2]
MIGRATION = "create table notes (id int primary key, text text); alter publication supabase_realtime add table notes;"


def wait_for(what: str, happened: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.03)


class Folder:
    """A project folder and the commands run in it."""

    def __init__(self, workdir: Path, python: Path = Path(sys.executable), account: Account | None = None) -> None:
        self.workdir = workdir
        self.state = workdir / ".minibase"
        self._python = python
        self._account = account
        self._url = ""
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *site_packages()])}
        (workdir / "supabase" / "migrations").mkdir(parents=True)
        self.write("migrations/1_notes.sql", MIGRATION)
        self.write("seed.sql", "insert into notes values (1, 'seeded');")
        if account is not None:
            for path in (workdir, *workdir.rglob("*")):
                os.chown(path, account.uid, account.gid)

    def write(self, path: str, text: str) -> None:
        (self.workdir / "supabase" / path).write_text(text)

    def _arguments(self, command: str, *arguments: str) -> list[str]:
        return [str(self._python), "-m", "minibase.cli", *command.split(), "--workdir", str(self.workdir), *arguments]

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._arguments(command, *arguments),
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
            cwd="/",
            **(self._account.spawn_options() if self._account else {}),
        )

    def start(self) -> None:
        started = self.run("start", "--port", "auto", "--db-port", "auto", "--detach")
        assert started.returncode == 0, started.stderr

    def spawn(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """`minibase start` in the foreground, its output in a file."""
        with (self.workdir / "out").open("wb") as out:
            return subprocess.Popen(
                self._arguments("start", "--port", "auto", "--db-port", "auto", *arguments),
                stdout=out,
                stderr=out,
                env=self.environment,
                cwd="/",
                pass_fds=pass_fds,
                start_new_session=True,
            )

    def spawn_until_ready(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        process = self.spawn(*arguments, pass_fds=pass_fds)
        wait_for("minibase is ready", lambda: "is ready" in self.output() or process.poll() is not None)
        assert process.poll() is None, self.output()
        return process

    def output(self) -> str:
        return (self.workdir / "out").read_text()

    def values(self) -> dict[str, str]:
        values: dict[str, str] = json.loads(self.run("status", "-o", "json").stdout)
        return values

    def sql(self, statement: str) -> str:
        """As the owner of the database, by a plain psql."""
        self._url = self._url or self.values()["DB_URL"]
        psql = find_binaries(None).program("psql")
        done = subprocess.run([psql, self._url, "-XAtc", statement], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def data_home(self) -> Path:
        pointer = self.state / "data-folder"
        return Path(pointer.read_text().strip()) if pointer.exists() else self.state

    def processes(self) -> list[str]:
        """Command lines of everything that runs on this folder's data or for this folder."""
        marks = (str(self.data_home()), str(self.workdir))
        return [line for line in command_lines() if any(mark in line for mark in marks)]

    def remove(self) -> None:
        if self.state.exists():
            self.run("stop")
            home = self.data_home()
            if home != self.state:
                shutil.rmtree(home, ignore_errors=True)


def command_lines() -> Iterator[str]:
    if not sys.platform.startswith("linux"):
        yield from subprocess.run(["ps", "-ww", "-eo", "command="], capture_output=True, text=True).stdout.splitlines()
        return
    for file in Path("/proc").glob("[0-9]*/cmdline"):  # slim containers have no ps
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield file.read_text(errors="replace").replace("\0", " ")


def site_packages() -> list[str]:
    return [path for path in sys.path if path.endswith("site-packages")]
