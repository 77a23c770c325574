"""A real, bootstrapped Postgres for everybody: one server per test session, one fresh database per test.

And what `scripts/test --on URL` changes: tests that need a minibase of their own are skipped, the others share what is
given.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from given import GIVEN
from processes import make_workdir

from minibase.postgres.account import pick_account
from minibase.postgres.binaries import Binaries, find_binaries, reachable_binaries
from minibase.postgres.bootstrap import bootstrap
from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.server import Server, ServerPlan, free_port, open_server
from orchestrator.cli.embedded import discard_data

FIGURE = "figure"
_numbers = itertools.count(1)


def pytest_sessionstart() -> None:
    """Nobody's stacks are deleted unasked."""
    if GIVEN is not None and (refusal := GIVEN.refusal(may_empty=bool(os.environ.get("TEST_ON_EMPTY")))):
        pytest.exit(refusal, returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a given Supabase, what makes sense on minibase alone is skipped, for the reason its marker names."""
    for item in items:
        marker = item.get_closest_marker("minibase_only")
        if marker is not None and GIVEN is not None:
            item.add_marker(pytest.mark.skip(reason=f"minibase only: {marker.args[0]}"))


@pytest.fixture(scope="session", autouse=True)
def left_as_found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A given Supabase is left as new, and none was started beside it."""
    yield
    if GIVEN is not None:
        GIVEN.renew()
        assert list(tmp_path_factory.getbasetemp().rglob(".minibase")) == [], "a test has started a minibase: mark it"


@pytest.fixture(scope="module", autouse=True)
def as_new(left_as_found: None) -> None:
    """A given Supabase is as new for each file of tests, as a minibase of its own is."""
    if GIVEN is not None:
        GIVEN.renew()


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return find_binaries(os.environ.get("MINIBASE_PG_BIN"))


@pytest.fixture(scope="session")
def server(binaries: Binaries) -> Iterator[Server]:
    """The session's server, run by a loop of its own; its database `postgres` is the template that tests clone."""
    if GIVEN is not None:
        pytest.skip("minibase only: works on clones of a Postgres that the tests start")
    with ExitStack() as folders:
        home = folders.enter_context(_open_folder(_fast_folder()))
        programs = folders.enter_context(_open_folder(None))
        account = pick_account()
        plan = ServerPlan(
            home=home,
            log=home / "postgres.log",
            binaries=reachable_binaries(binaries, account, programs),
            account=account,
            port=free_port(),
            durable=False,
        )
        passwords = {login.value: secrets.token_urlsafe(12) for login in Login}
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(open_server(plan, passwords)) as running,
        ):
            portal.call(bootstrap, running.endpoint)
            yield running


@contextmanager
def _open_folder(parent: Path | None) -> Iterator[Path]:
    """A new folder that the account which runs Postgres for root may pass through; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="minibase-tests-", dir=parent) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def _fast_folder() -> Path | None:
    """Memory, where there is plenty: a clone is hundreds of small files, and some disks take a second to make them."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**31
    return memory if roomy else None


@pytest.fixture
async def endpoint(server: Server) -> AsyncIterator[Endpoint]:
    """A fresh database with everything minibase bootstraps and nothing else."""
    clone = await clone_database(server.endpoint, f"test_{next(_numbers)}")
    yield clone
    await drop_database(clone)


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Path]:
    """A fresh project folder."""
    folder = make_workdir(tmp_path / "project")
    yield folder
    discard_data(folder)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Report something measured: printed under the test's name at the end of the session, asserted by nobody here."""

    def report(what: str, value: str) -> None:
        record_property(FIGURE, f"{what}: {value}")

    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all tests that passed, also of those that ran in a worker's process."""
    lines = [
        f"{report.nodeid.partition('::')[2]}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == FIGURE
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
