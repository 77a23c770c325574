"""Postgres is restarted or killed in the middle of a beat, alone or with its whole minibase: the daemon goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.place import Place
from faults.promises import answered, assert_kept, built
from faults.provider import Provider
from processes import eventually

STACKS = 5


@contextmanager
def backend_killed(place: Place) -> Iterator[None]:
    """One server process dies: the postmaster ends all sessions, recovers and goes on under the same pid."""
    os.kill(place.one("select pid from pg_stat_activity where usename = 'authenticator' limit 1"), signal.SIGKILL)
    yield


@contextmanager
def postmaster_killed(place: Place) -> Iterator[None]:
    """The postmaster dies and another takes its place; the API lives all the time, for its watchdog is frozen."""
    postmaster = _parent(place.one("select pg_backend_pid()"))
    watchdog = _parent(postmaster)
    again = _same_program(postmaster)
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    data = Path(place.one("show data_directory"))
    os.kill(watchdog, signal.SIGSTOP)
    os.kill(postmaster, signal.SIGKILL)
    place.forget()
    with ExitStack() as clean_up:
        clean_up.callback(place.end)
        clean_up.callback(os.kill, watchdog, signal.SIGCONT)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), within=20, what="sessions end")
        (data / "postmaster.pid").unlink()  # nobody reaps the dead one while its watchdog is frozen
        second = again()
        clean_up.callback(second.wait, 20)
        clean_up.callback(second.send_signal, signal.SIGINT)
        yield


def _same_program(pid: int) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts what the process is running once more, in the same folder, as the same user."""
    process = Path(f"/proc/{pid}")
    command, folder = (process / "cmdline").read_bytes().split(b"\0")[:-1], (process / "cwd").readlink()
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    owner = process.stat()
    user: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
    return lambda: subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user
    )


@contextmanager
def minibase_killed(place: Place) -> Iterator[None]:
    """Everything of Supabase dies at once and is started again."""
    place.end(signal.SIGKILL)
    place.start()
    yield


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="finds the postmaster's parent and program in /proc")


@pytest.mark.parametrize("fault", [backend_killed, pytest.param(postmaster_killed, marks=linux_only), minibase_killed])
@pytest.mark.parametrize("moment", ["the model is asked", "replies come"])
def test_runs_in_flight_land_once(fault: Any, moment: str, place: Place, provider: Provider, daemon: Any) -> None:
    stacks = [place.stack(f"Stack {n}", visitor=True, state="idle") for n in range(STACKS)]
    provider.hold()
    process = daemon("daemon")
    place.move("running", *stacks)
    eventually(lambda: len(provider.open) == 2 * STACKS, within=20, what="builders and communicators ask")
    if moment == "replies come":
        provider.release()
    with fault(place):
        provider.release()
        built(place, STACKS)
        answered(place, STACKS)
        assert process.poll() is None
        assert place.one("select count(*) from agent_executions where status in ('abandoned', 'stale')") == 0
        assert_kept(place, provider)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
