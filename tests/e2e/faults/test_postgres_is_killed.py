"""Postgres is restarted or killed in the middle of a beat, alone or with its whole minibase: the daemon goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The postmaster dies, and minibase starts another; the API lives all the time."""
    os.kill(_parent(place.one("select pg_backend_pid()")), signal.SIGKILL)
    place.forget()
    yield


@contextmanager
def minibase_killed(place: Place) -> Iterator[None]:
    """Everything of Supabase dies at once and is started again."""
    place.end(signal.SIGKILL)
    place.start()
    yield


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="finds the postmaster in /proc")


@pytest.mark.minibase_only("kills its Postgres")
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
