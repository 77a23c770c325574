"""Runs one PostgreSQL server for as long as a block of code lasts.

`open_server` is the whole interface: it makes the data folder on first use, clears away a server that an earlier,
killed minibase left behind, starts the new one under a watchdog, waits until it answers, and stops it at the end.

The caller holds the lock on `home`, so nobody else starts a server on the same data meanwhile.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import asyncpg

from minibase.errors import BusyError, MinibaseError
from minibase.postgres.account import Account
from minibase.postgres.binaries import SETTING, Binaries
from minibase.postgres.endpoint import HOST, Endpoint, Login
from minibase.postgres.extensions import trust_offered
from minibase.postgres.session import open_session

_POLL = 0.02
_STOP_LIMIT = 10.0
_LEFTOVER_LIMIT = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """All that decides how a server runs."""

    home: Path
    """A folder the account can pass through; holds the data folder and, where needed, a copy of the programs."""
    log: Path
    binaries: Binaries
    account: Account | None
    port: int
    durable: bool = True
    """False (tests) skips fsync; commits are still ordered and streamed as usual."""

    @property
    def data(self) -> Path:
        return self.home / f"postgres-{self.binaries.major}"


@dataclass(slots=True)
class Server:
    """A running server; ends with the block that opened it. Restarted, it is where it was before."""

    endpoint: Endpoint
    version: str
    watchdog: subprocess.Popen[bytes]
    plan: ServerPlan

    async def failed(self) -> MinibaseError:
        """Wait until the server ends by itself, and say so as an error. Meant to be cancelled."""
        await anyio.to_thread.run_sync(self.watchdog.wait, abandon_on_cancel=True)
        return MinibaseError(f"PostgreSQL ended unexpectedly. {_last_words(self.plan)}")

    async def restart(self) -> None:
        """Start it again after it ended; returns when it answers. Raises MinibaseError as the first start does."""
        _end(self.watchdog)
        await _stop_leftover(self.plan.data)
        require_free_port(self.plan.port, "--db-port")
        self.watchdog = _spawn(self.plan)
        await _until_ready(self.endpoint, self.watchdog, self.plan)


class PortTakenError(BusyError):
    """Something else listens on the wanted port."""


@asynccontextmanager
async def open_server(plan: ServerPlan, passwords: dict[str, str]) -> AsyncIterator[Server]:
    """Start PostgreSQL by `plan`; `passwords` holds one for each Login (only the superuser's is used here).

    Raises MinibaseError: data of another major version, a taken port, programs or data that do not work.
    """
    _refuse_other_majors(plan)
    await _stop_leftover(plan.data)
    if not (plan.data / "PG_VERSION").exists():
        await anyio.to_thread.run_sync(_create_data, plan, passwords[Login.ADMIN])
    require_free_port(plan.port, "--db-port")
    endpoint = Endpoint(host=HOST, port=plan.port, passwords=passwords)
    server = Server(endpoint, plan.binaries.version, _spawn(plan), plan)
    try:
        await _until_ready(endpoint, server.watchdog, plan)
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_end, server.watchdog)


def require_free_port(port: int, option: str) -> None:
    """Raise PortTakenError, naming the option to use, where something already listens on `port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do themselves: connections of a former server that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                what = "another program already listens there"
            elif error.errno == errno.EACCES:
                what = "this user may not listen there"
            else:
                raise
            raise PortTakenError(
                f"Port {port} on {HOST} cannot be used: {what}. Choose another with {option} PORT, or {option} auto."
            ) from error


def free_port() -> int:
    """A port of the loopback address that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_other_majors(plan: ServerPlan) -> None:
    if plan.data.exists():
        return
    for other in plan.home.glob("postgres-*"):
        major = other.name.removeprefix("postgres-")
        if major.isdigit() and (other / "PG_VERSION").exists():
            raise MinibaseError(
                f"{other} holds data of PostgreSQL {major}, but {plan.binaries.source} is PostgreSQL "
                f"{plan.binaries.version}. Either set {SETTING} to the bin folder of a PostgreSQL {major}; or move the "
                f"data over: `minibase backup FILE` with {SETTING} set so, move {other} away, `minibase restore FILE`."
            )


def _create_data(plan: ServerPlan, password: str) -> None:
    """Run initdb beside the final place and move the result there, so that half a data folder never counts."""
    partial = plan.home / f"{plan.data.name}.new"
    shutil.rmtree(partial, ignore_errors=True)
    secret = plan.home / f"{plan.data.name}.password"
    secret.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password + "\n")
        partial.mkdir(mode=0o700)
        if plan.account is not None:
            os.chown(partial, plan.account.uid, plan.account.gid)
            os.chown(secret, plan.account.uid, plan.account.gid)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        done = subprocess.run(
            [
                plan.binaries.program("initdb"), "--pgdata", partial, "--username", Login.ADMIN, "--pwfile", secret,
                "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions",
                *(locale if plan.binaries.major >= 17 else ("--locale=C.UTF-8",)),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            cwd=plan.home, env=_environment(), **(plan.account.spawn_options() if plan.account else {}),
        )  # fmt: skip
        if done.returncode != 0:
            raise MinibaseError(
                f"PostgreSQL's initdb ({plan.binaries.source}) could not make {plan.data}. "
                f"{_advice(done.stdout, plan)}{done.stdout.strip()}"
            )
        partial.rename(plan.data)
    finally:
        secret.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)


def _settings(plan: ServerPlan) -> dict[str, str]:
    settings = {
        "listen_addresses": HOST,
        "port": str(plan.port),
        "unix_socket_directories": "",
        "wal_level": "logical",
        "max_wal_senders": "20",
        "max_replication_slots": "20",
        # A consumer that stopped reading loses its slot rather than filling the disk.
        "max_slot_wal_keep_size": "1GB",
        "shared_buffers": "64MB",
        "fsync": "on" if plan.durable else "off",
        # Off would delay the stream by wal_writer_delay; see the commit path of realtime.
        "synchronous_commit": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "search_path": '"$user", public, extensions',
        # Short queries all day: compiling them costs more than it saves.
        "jit": "off",
        "max_logical_replication_workers": "0",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
    }
    if plan.binaries.major >= 18:
        settings["io_method"] = "sync"  # three processes fewer; the data fits the cache
    if plan.binaries.has_library("pg_stat_statements"):
        settings["shared_preload_libraries"] = "pg_stat_statements"
    control_path = trust_offered(plan.binaries, plan.home / "extensions")
    if control_path is not None:
        settings["extension_control_path"] = control_path
    return settings


def _spawn(plan: ServerPlan) -> subprocess.Popen[bytes]:
    account = plan.account
    options = [f"--{name}={value}" for name, value in _settings(plan).items()]
    return subprocess.Popen(
        [
            sys.executable, "-I", "-S", Path(__file__).with_name("watchdog.py"),
            str(account.uid if account else -1), str(account.gid if account else -1), plan.home, plan.log,
            plan.binaries.program("postgres"), "-D", plan.data, *options,
        ],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=_environment(),
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGPORT, PGDATA, TZ and locale variables would all leak into the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


async def _until_ready(endpoint: Endpoint, watchdog: subprocess.Popen[bytes], plan: ServerPlan) -> None:
    """Wait for the first answer. Recovery after a crash may take its time: as long as the process lives, so do we."""
    while True:
        if watchdog.poll() is not None:
            raise MinibaseError(f"PostgreSQL did not start. {_last_words(plan)}")
        try:
            async with open_session(endpoint, Login.ADMIN, database="template1"):
                return
        except (ConnectionError, asyncpg.CannotConnectNowError):
            await anyio.sleep(_POLL)
        except asyncpg.InvalidPasswordError as error:
            raise MinibaseError(
                f"The data in {plan.data} does not accept the password in secrets.json: the two are not from the same "
                "start. Put back the secrets.json that belongs to this data, or move the data away to begin anew."
            ) from error


def _end(watchdog: subprocess.Popen[bytes]) -> None:
    assert watchdog.stdin is not None
    watchdog.stdin.close()  # of one that has ended, too
    try:
        watchdog.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        watchdog.kill()
        watchdog.wait()


async def _stop_leftover(data: Path) -> None:
    """Stop a server that still runs on `data`, and wait for it: its watchdog may be about to do the same."""
    await _stop_postmaster(data)
    for pid in _orphans_of(data):
        # Its postmaster died before it, so there is nothing to end in order: the next start recovers. One that is busy
        # with a long query would not notice for as long as that takes, and hold the shared memory meanwhile.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with anyio.move_on_after(_LEFTOVER_LIMIT):
        while _orphans_of(data):  # noqa: ASYNC110 - as below
            await anyio.sleep(_POLL)


async def _stop_postmaster(data: Path) -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        pid = running_on(data)
        if pid is None:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise MinibaseError(
                f"A PostgreSQL with pid {pid} still runs on {data} and belongs to another user. "
                "Stop it as that user, or start minibase as that user."
            ) from error
        with anyio.move_on_after(_LEFTOVER_LIMIT):
            await _until_gone(data)


async def _until_gone(data: Path) -> None:
    while running_on(data) is not None:  # noqa: ASYNC110 - another program's process tells nobody that it ends
        await anyio.sleep(_POLL)


def running_on(data: Path) -> int | None:
    """The pid of a live postmaster on `data`. A pid alone proves nothing, for numbers are used again."""
    try:
        first_line = (data / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        return None
    if not first_line.strip().isdigit():
        return None
    pid = int(first_line)
    return pid if str(data) in _arguments_of(pid) else None


def _orphans_of(data: Path) -> list[int]:
    """Server processes that work in `data` with no postmaster over them. Only Linux lets us look."""
    if sys.platform != "linux" or running_on(data) is not None:
        return []
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            if (process / "cwd").readlink() == data and (process / "comm").read_text().startswith("postgres"):
                found.append(int(process.name))
    return found


def _arguments_of(pid: int) -> list[str]:
    """How a process was called; empty where there is none. Slim containers have no `ps`, and macOS has no /proc."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return []
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return shown.split()


def _last_words(plan: ServerPlan, lines: int = 15) -> str:
    try:
        said = plan.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        said = []
    return f"{_advice(said[-1] if said else '', plan)}Its last words, from {plan.log}:\n" + "\n".join(said)


def _advice(said: str, plan: ServerPlan) -> str:
    """What to do about reasons that have nothing to do with PostgreSQL, which names them in the middle of its own."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return f"The disk of {plan.home} is full: make room there. "
    if "Read-only file system" in said or "Permission denied" in said:
        return f"{plan.home} cannot be written: make it writable. "
    return ""
