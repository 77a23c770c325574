"""A real Supabase, a provider that counts, and real daemons, killed, frozen and cut off at will; leases of 2 s."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faults.place import Place
from faults.provider import Provider
from faults.wire import Wire
from processes import eventually, make_workdir

from orchestrator.cli.embedded import discard_data

Daemon = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="session")
def lasting_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(make_workdir(tmp_path_factory.mktemp("faults") / "project"))
    (found.workdir / "supabase" / "seed.sql").write_text("")
    found.start()
    yield found
    found.end()
    discard_data(found.workdir)  # root's lies outside the folder


@pytest.fixture
def place(lasting_place: Place) -> Iterator[Place]:
    """The place, with nothing in it of another test."""
    lasting_place.start()
    empty(lasting_place)
    yield lasting_place
    lasting_place.start()
    empty(lasting_place)


def empty(place: Place) -> None:
    place.sql("delete from agent_stacks")
    place.sql("truncate llm_calls, workers cascade")
    place.sql("delete from budgets")
    place.sql("delete from model_limits")
    place.sql("truncate internal.quota, internal.quota_queue, internal.budget_use")
    # The model has answered before, and told no limits: tests that are about the first answer take this row away.
    place.sql(
        """insert into internal.quota (provider, model, kind, told, level, filled_at)
        values ('openai', 'gpt-6-luna', 'first calls', null, 0, now())"""
    )


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider().serve() as serving:
        yield serving


@pytest.fixture
def wire(place: Place) -> Iterator[Wire]:
    """The way of one daemon to Supabase."""
    with Wire(place.url).serve() as serving:
        yield serving


@pytest.fixture
def daemon(place: Place, provider: Provider, tmp_path: Path) -> Iterator[Daemon]:
    """Start a daemon by name and wait until it has said hello; all of them are killed afterwards."""
    with ExitStack() as running:

        def start(name: str = "daemon", *, wire: Wire | None = None, **settings: str) -> subprocess.Popen[bytes]:
            url = place.url if wire is None else wire.url
            environment = {"STACKBEAT_NAME": name, **provider.environment, **settings}
            log = tmp_path / f"{name}.log"
            process = place.daemon(log, url, environment)
            running.callback(_kill, process)
            eventually(lambda: _works(place, name, process, log), within=30, what=f"{name} has said hello")
            return process

        yield start


def _works(place: Place, name: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    found: bool = place.one("select count(*) > 0 from workers where name = %s and stopped_at is null", name)
    return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait(10)
