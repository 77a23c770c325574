"""The Postgres supervisor against the crashes and left-overs it is there for."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import asyncpg
import pytest

from minibase.errors import MinibaseError
from minibase.postgres.account import pick_account
from minibase.postgres.binaries import Binaries, find_binaries, reachable_binaries
from minibase.postgres.bootstrap import bootstrap
from minibase.postgres.endpoint import Login
from minibase.postgres.server import PortTakenError, ServerPlan, free_port, open_server, running_on
from minibase.postgres.session import open_session
from minibase.postgres.watchdog import LOG_LIMIT

PASSWORDS = {login.value: secrets.token_urlsafe(12) for login in Login}


@pytest.fixture
def plan(binaries: Binaries) -> Iterator[ServerPlan]:
    with tempfile.TemporaryDirectory(prefix="minibase-tests-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        account = pick_account()
        yield ServerPlan(
            home=home,
            log=home / "postgres.log",
            binaries=reachable_binaries(binaries, account, home),
            account=account,
            port=free_port(),
            durable=False,
        )


async def until_stopped(plan: ServerPlan) -> None:
    with anyio.fail_after(10):
        while running_on(plan.data) is not None:  # noqa: ASYNC110 - nothing tells us but looking
            await anyio.sleep(0.02)


async def test_data_survives_and_the_server_does_not(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS) as server, open_session(server.endpoint, Login.ADMIN) as session:
        await session.execute("create table kept (id int)")
    assert running_on(plan.data) is None
    async with open_server(plan, PASSWORDS) as server, open_session(server.endpoint, Login.ADMIN) as session:
        assert await session.fetchval("select count(*) from kept") == 0
        assert await session.fetchval("show fsync") == "off"


async def test_fsync_is_on_unless_tests_ask_otherwise(plan: ServerPlan) -> None:
    durable = replace(plan, durable=True)
    async with open_server(durable, PASSWORDS) as server, open_session(server.endpoint, Login.ADMIN) as session:
        assert await session.fetchval("show fsync") == "on"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
async def test_postgres_does_not_outlive_a_killed_watchdog(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS) as server:
        os.kill(server.watchdog.pid, signal.SIGKILL)
        with anyio.fail_after(10):
            complaint = await server.failed()
        assert "ended unexpectedly" in str(complaint)
        await until_stopped(plan)


async def test_postgres_killed_with_9_is_noticed_and_recovers_at_the_next_start(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS) as server:
        async with open_session(server.endpoint, Login.ADMIN) as session:
            await session.execute("create table kept (id int)")
        postmaster = running_on(plan.data)
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)
        with anyio.fail_after(10):
            await server.failed()
    async with open_server(plan, PASSWORDS) as server, open_session(server.endpoint, Login.ADMIN) as session:
        assert await session.fetchval("select count(*) from kept") == 0


async def test_a_busy_session_of_a_killed_postmaster_does_not_hold_up_the_restart(plan: ServerPlan) -> None:
    """Only a process that waits notices that its postmaster is gone; one that counts goes on, on the shared memory."""
    async with open_server(plan, PASSWORDS) as server:
        async with open_session(server.endpoint, Login.ADMIN) as session, anyio.create_task_group() as tasks:
            tasks.start_soon(_count_for_ever, session)
            async with open_session(server.endpoint, Login.ADMIN) as onlooker:
                asked = "select count(*) from pg_stat_activity where state = 'active' and query like '%1e12%'"
                with anyio.fail_after(10):
                    while await onlooker.fetchval(asked) < 2:  # noqa: ASYNC110 - nothing tells us but looking
                        await anyio.sleep(0.02)
            postmaster = running_on(plan.data)
            assert postmaster is not None
            os.kill(postmaster, signal.SIGKILL)
            with anyio.fail_after(10):
                await server.failed()
                await server.restart()
        async with open_session(server.endpoint, Login.ADMIN) as session:
            assert await session.fetchval("select 1") == 1


async def _count_for_ever(session: asyncpg.Connection[asyncpg.Record]) -> None:
    with contextlib.suppress(asyncpg.PostgresConnectionError, OSError):
        await session.fetchval("select count(*) from generate_series(1::numeric, 1e12) as n(i) where i < 0")


async def test_the_log_is_capped_and_goes_on(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS) as server, open_session(server.endpoint, Login.ADMIN) as session:
        for number in range(3):
            await session.execute(
                f"do $$ begin for i in 1..45 loop raise log 'round {number} %', repeat('x', 100000); end loop; end $$"
            )
    former = plan.log.with_name("postgres.log.1")
    assert LOG_LIMIT / 2 < former.stat().st_size <= LOG_LIMIT
    assert plan.log.stat().st_size <= LOG_LIMIT
    assert stat.S_IMODE(plan.log.stat().st_mode) == 0o600
    assert "database system is shut down" in plan.log.read_text()
    assert "round 0" not in former.read_text(), "of all that was said, the newest is kept"


async def test_a_server_left_over_on_the_same_data_is_stopped_first(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS):
        before = running_on(plan.data)
        async with open_server(replace(plan, port=free_port()), PASSWORDS) as second:
            assert running_on(plan.data) not in (None, before)
            async with open_session(second.endpoint, Login.ADMIN) as session:
                assert await session.fetchval("select 1") == 1


async def test_a_pid_file_that_names_somebody_else_is_not_believed(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS):
        pass
    (plan.data / "postmaster.pid").write_text(f"{os.getpid()}\n{plan.data}\n")
    assert running_on(plan.data) is None


async def test_data_of_another_major_is_refused_with_steps(plan: ServerPlan) -> None:
    other = plan.home / "postgres-14"
    other.mkdir()
    (other / "PG_VERSION").write_text("14\n")
    with pytest.raises(MinibaseError, match=r"holds data of PostgreSQL 14, .*MINIBASE_PG_BIN.*minibase restore FILE"):
        async with open_server(plan, PASSWORDS):
            pass
    assert not plan.data.exists()


async def test_a_taken_port_leaves_nothing_running(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS) as first:
        home = plan.home / "second"
        home.mkdir()
        home.chmod(0o711)
        with pytest.raises(PortTakenError, match=f"Port {first.endpoint.port} .* --db-port auto"):
            async with open_server(replace(plan, home=home), PASSWORDS):
                pass


async def test_a_server_that_cannot_start_says_its_last_words(plan: ServerPlan) -> None:
    async with open_server(plan, PASSWORDS):
        pass
    (plan.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(MinibaseError, match="PostgreSQL did not start") as refusal:
        async with open_server(plan, PASSWORDS):
            pass
    assert "no_such_setting" in str(refusal.value)


async def test_half_made_data_of_a_killed_start_does_not_count(plan: ServerPlan) -> None:
    half = plan.home / f"{plan.data.name}.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    async with open_server(plan, PASSWORDS):
        assert not half.exists()


def test_the_system_s_postgres_serves_where_the_setting_names_it(plan: ServerPlan) -> None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = [folder for folder in folders if (folder / "initdb").is_file() and int(folder.parent.name) >= 15]
    if not found:
        pytest.skip("this system has no PostgreSQL package of its own")

    async def story() -> None:
        system = replace(plan, binaries=find_binaries(str(found[0])))
        async with open_server(system, PASSWORDS) as server:
            await bootstrap(server.endpoint)
            async with open_session(server.endpoint, Login.OWNER) as session:
                await session.execute("create extension citext with schema extensions; create table t (id citext)")
                await session.execute("alter publication supabase_realtime add table t")
                assert await session.fetchval("select count(*) from pg_publication_tables") == 2

    anyio.run(story)


def test_programs_out_of_the_accounts_reach_are_copied_once(binaries: Binaries, tmp_path: Path) -> None:
    account = pick_account()
    if account is None:
        pytest.skip("an ordinary user runs the programs where they are")
    installed = binaries.folder.parent
    package, libraries = installed.parent, installed.parent.with_name(f"{installed.parent.name}.libs")
    # As in a virtual environment below a closed home: pytest's folders are closed to everybody else.
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, tmp_path / package.name / installed.name / part, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, tmp_path / libraries.name, symlinks=True)
    hidden = replace(binaries, folder=tmp_path / package.name / installed.name / "bin")
    with tempfile.TemporaryDirectory(prefix="minibase-tests-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        copy = reachable_binaries(hidden, account, home)
        assert copy.folder.is_relative_to(home)
        assert account.can_enter(copy.folder)
        for program in ("initdb", "postgres"):  # which need the libraries that came with them
            command = [copy.folder / program, "--version"]
            assert subprocess.run(command, **account.spawn_options(), capture_output=True).returncode == 0
        made = (copy.folder / "postgres").stat().st_mtime_ns, copy.folder.stat().st_ctime_ns
        assert reachable_binaries(hidden, account, home) == copy
        assert made == ((copy.folder / "postgres").stat().st_mtime_ns, copy.folder.stat().st_ctime_ns)
        assert len(list(home.iterdir())) == 1
