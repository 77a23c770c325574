"""The folder `.stackbeat/` of a project: what runs here, who its operator is, which ports it remembers.

Everything in it is private to the user (0700, files 0600): it holds a password and keys.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.cli.errors import CliError, ExitCode

FOLDER_NAME = ".stackbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a running `stackbeat up` tells other commands. The key is None where it must come from the environment."""

    pid: int
    on: str
    api_url: str
    dashboard_url: str
    metrics_url: str | None = None
    db_url: str | None = None
    publishable_key: str | None = None
    service_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The sign-in of the operator that `up` made."""

    email: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The private folder of the project in `workdir`; made on first writing."""

    workdir: Path

    @property
    def path(self) -> Path:
        """Where the folder is, or would be."""
        return self.workdir / FOLDER_NAME

    def running(self) -> Running | None:
        """What runs here now, or None. A file left by a killed process does not count: its lock is gone."""
        values = self._read("up.json")
        return Running(**values) if values and self._is_locked() else None

    def left_over(self) -> Running | None:
        """What an `up` that was killed wrote. Only meaningful to the holder of the lock."""
        values = self._read("up.json")
        return Running(**values) if values else None

    def login(self) -> Login | None:
        """The operator's sign-in, if one was made."""
        values = self._read("operator.json")
        return Login(**values) if values else None

    def ports(self) -> dict[str, int]:
        """The ports chosen by earlier starts with `auto`, by what they are for."""
        return self._read("ports.json") or {}

    def write_running(self, running: Running) -> None:
        """Let other commands find this process."""
        self._write("up.json", asdict(running))

    def write_login(self, login: Login) -> None:
        """Keep the operator's sign-in for the next start."""
        self._write("operator.json", asdict(login))

    def write_ports(self, ports: Mapping[str, int]) -> None:
        """Remember ports, so that addresses stay the same from start to start."""
        self._write("ports.json", dict(ports))

    def forget_running(self) -> None:
        """Nothing runs here any more."""
        (self.path / "up.json").unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the folder for one `up`: True if it was free. The kernel frees it however the process ends."""
        self._make()
        with (self.path / "up.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _is_locked(self) -> bool:
        lock = self.path / "up.lock"
        if not lock.is_file():
            return False
        with lock.open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise CliError(f"cannot make {self.path} ({error.strerror}); choose another --workdir") from error

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CliError(f"cannot read {path} ({error}); remove it and start again", ExitCode.FAILED) from error
        if not isinstance(values, dict):
            raise CliError(f"{path} does not hold a JSON object; remove it and start again")
        return values

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        self._make()
        path, fresh = self.path / name, self.path / f"{name}.{os.getpid()}.new"
        # Never half a file, and never for a moment readable by others.
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            json.dump(values, handle, indent=2)
        fresh.replace(path)
