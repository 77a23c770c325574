"""The `minibase` command as people and programs meet it: real processes, real folders, real signals."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from project_folder import ROOT, Folder, site_packages, wait_for

from minibase.postgres.account import Account

pytestmark = pytest.mark.minibase_only("the `minibase` command itself")

# -- while it runs -------------------------------------------------------------------------------------------------


def test_the_api_answers_where_status_says(running: Folder) -> None:
    with urllib.request.urlopen(running.values()["API_URL"] + "/health", timeout=10) as answer:
        assert answer.status == 200


def test_a_connection_that_was_idle_as_long_as_clients_keep_theirs_still_answers(running: Folder) -> None:
    # Most clients in Python keep them for 5 s: a server that closes then closes under their requests.
    with contextlib.closing(HTTPConnection(urlsplit(running.values()["API_URL"]).netloc, timeout=10)) as connection:
        for pause_s in (0, 5.5):
            time.sleep(pause_s)
            connection.request("GET", "/health")
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (200, True)


def test_migrations_and_seed_are_applied_at_start_aloud(running: Folder) -> None:
    assert running.sql("select text from notes") == "seeded"
    log = (running.state / "minibase.log").read_text()
    assert "applying migration 1_notes.sql" in log
    assert "seeding from supabase/seed.sql" in log


def test_status_for_a_shell_survives_the_shell(running: Folder) -> None:
    values = running.values()
    assert set(values) >= {"API_URL", "REST_URL", "DB_URL", "DB_ADMIN_URL", "ANON_KEY", "SERVICE_ROLE_KEY"}
    assert set(values) >= {"PUBLISHABLE_KEY", "SECRET_KEY", "JWT_SECRET"}
    lines = running.run("status", "-o", "env").stdout
    script = lines + "".join(f'printf "%s\\n" "${name}"\n' for name in values)
    read_back = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=True).stdout
    assert read_back.splitlines() == list(values.values())


def test_it_says_why_something_or_nothing_is_heard_of_a_table(running: Folder) -> None:
    asked = ("--table", "notes", "--pk", "1", "--claims", '{"role": "service_role"}')
    said = running.run("realtime why", *asked)
    assert said.returncode == 0, said.stdout
    assert said.stdout.startswith("yes  published: INSERT, UPDATE, DELETE")
    said = running.run("realtime why", "--table", "unknown")
    assert (said.returncode, said.stdout) == (1, "no   there is no table public.unknown\n")


def test_people_are_shown_addresses_and_the_keys_to_hand_out(running: Folder) -> None:
    table = running.run("status").stdout
    values = running.values()
    assert values["API_URL"] in table
    assert values["PUBLISHABLE_KEY"] in table
    assert values["JWT_SECRET"] not in table


def test_a_second_start_says_what_runs_and_where(running: Folder) -> None:
    second = running.run("start")
    assert second.returncode == 6
    assert running.values()["API_URL"] in second.stderr
    assert str(running.workdir) in second.stderr


def test_psql_is_the_owner_who_is_no_superuser(running: Folder) -> None:
    asked = running.run("psql", "-XAtc", "select current_user, usesuper from pg_user where usename = current_user")
    assert (asked.returncode, asked.stdout) == (0, "postgres|f\n")


def test_psql_passes_its_arguments_and_its_exit_code(running: Folder) -> None:
    failed = running.run("psql", "-v", "ON_ERROR_STOP=1", "-c", "select no_such_column")
    assert (failed.returncode, "no_such_column" in failed.stderr) == (1, True)


def test_the_admin_url_is_a_superuser(running: Folder) -> None:
    psql = running.run("psql", running.values()["DB_ADMIN_URL"], "-XAtc", "select current_user, rolsuper from pg_roles"
                       " where rolname = current_user")  # fmt: skip
    assert psql.stdout.strip() == "supabase_admin|t"


def test_files_are_private(running: Folder) -> None:
    assert stat.S_IMODE(running.state.stat().st_mode) == 0o700
    for file in running.state.iterdir():
        if file.is_file():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    (data,) = running.data_home().glob("postgres-[0-9][0-9]")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert data.stat().st_uid != 0


def test_no_password_is_shown_in_the_process_list(running: Folder) -> None:
    secrets = json.loads((running.state / "secrets.json").read_text())
    shown = "\n".join(running.processes())
    assert "watchdog.py" in shown
    for hidden in (*secrets["passwords"].values(), secrets["jwt_secret"], secrets["secret_key"]):
        assert hidden not in shown


def test_pending_migrations_are_applied_while_it_runs(running: Folder) -> None:
    running.write("migrations/2_more.sql", "create table more ();")
    done = running.run("migrate")
    assert done.stdout.splitlines() == ["applying migration 2_more.sql", "1 files applied."]
    assert running.run("migrate").stdout == "The database is up to date.\n"


def test_reset_begins_anew_under_open_sessions_and_streams(running: Folder) -> None:
    running.sql("insert into notes values (2, 'mine'); alter database postgres set statement_timeout = '7min'")
    running.sql("alter database postgres set search_path = public, extensions")
    slot = "select pg_create_logical_replication_slot('left_behind', 'pgoutput')"
    running.sql(slot)
    session = subprocess.Popen(
        [*running._arguments("psql"), "-c", "select pg_sleep(60)"], env=running.environment, stderr=subprocess.DEVNULL
    )
    asleep = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"
    with session:
        wait_for("the session is open", lambda: running.sql(asleep) == "1")
        done = running.run("reset")
        assert (done.returncode, done.stderr) == (0, "")
        assert session.wait(20) != 0
    assert running.sql("select string_agg(text, ',') from notes") == "seeded"
    kept = "select unnest(setconfig) from pg_db_role_setting where setdatabase <> 0 and setrole = 0 order by 1"
    assert running.sql(kept) == "search_path=public, extensions\nstatement_timeout=7min"
    assert (
        running.sql("select string_agg(datname, ',' order by datname) from pg_database")
        == "postgres,template0,template1"
    )


def test_a_reset_that_fails_keeps_the_old_data(running: Folder) -> None:
    running.sql("insert into notes values (3, 'kept')")
    running.write("seed.sql", "insert into notes values (1, 'seeded'); select no_such_column;")
    failed = running.run("reset")
    running.write("seed.sql", "insert into notes values (1, 'seeded');")
    assert failed.returncode == 1
    assert "supabase/seed.sql, statement 2, line 1" in failed.stderr
    assert running.sql("select text from notes where id = 3") == "kept"
    assert running.sql("select count(*) from pg_database") == "3"


def test_another_folder_runs_beside_it_once_its_ports_are_free_ones(running: Folder, folder: Folder) -> None:
    taken = urlsplit(running.values()["API_URL"]).port
    folder.write("config.toml", f"[api]\nport = {taken}\nprot = 1\n")
    refused = folder.run("start", "--db-port", "auto", "--detach")
    assert refused.returncode == 6
    assert f"Port {taken} on 127.0.0.1 cannot be used" in refused.stderr
    folder.start()
    assert running.sql("select count(*) from pg_database") == folder.sql("select count(*) from pg_database")
    assert folder.values()["API_URL"] != running.values()["API_URL"]
    warnings = [line for line in (folder.state / "minibase.log").read_text().splitlines() if "warning" in line]
    assert warnings[-1] == (
        "warning: supabase/config.toml has keys that nobody is known to read: api.prot (is port meant?)"
    )


# -- stopping ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_even_with_open_sessions(folder: Folder, number: signal.Signals) -> None:
    process = folder.spawn_until_ready()
    address = folder.values()["API_URL"].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))):  # a client that never lets go
        begun = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 5
    assert folder.processes() == []
    assert "database system is shut down" in (folder.state / "postgres.log").read_text()


def test_a_signal_during_the_start_is_obeyed(folder: Folder) -> None:
    folder.write("migrations/2_slow.sql", "select pg_sleep(60);")
    process = folder.spawn()
    wait_for("the slow migration runs", lambda: "2_slow" in folder.output())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert folder.processes() == []


def test_kill_9_leaves_nothing_running_and_the_next_start_finds_everything(folder: Folder) -> None:
    process = folder.spawn_until_ready()
    before = folder.values()
    folder.sql("insert into notes values (2, 'mine')")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for("no process is left", lambda: folder.processes() == [], seconds=5)
    assert folder.run("status").returncode == 1
    folder.start()
    assert folder.sql("select count(*) from notes") == "2"
    assert folder.values() == before  # the same ports, the same keys


def test_a_start_right_after_kill_9_takes_over(folder: Folder) -> None:
    process = folder.spawn_until_ready()
    process.kill()
    process.wait()
    folder.start()
    assert folder.sql("select text from notes") == "seeded"


def test_the_end_of_the_lifeline_ends_it(folder: Folder) -> None:
    reading, writing = os.pipe()
    process = folder.spawn_until_ready("--lifeline", str(reading), pass_fds=(reading,))
    os.close(reading)
    os.close(writing)
    assert process.wait(10) == 0
    assert folder.processes() == []


def test_stop_waits_for_the_end_and_may_be_said_twice(folder: Folder) -> None:
    folder.start()
    assert folder.run("stop").stdout == "Stopped.\n"
    assert folder.processes() == []
    again = folder.run("stop")
    assert (again.returncode, again.stdout) == (0, f"Nothing runs in {folder.workdir}.\n")


# -- while it is stopped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("status",), ("status", "-o", "env"), ("psql", "-c", "select 1")])
def test_what_needs_a_running_minibase_says_so(folder: Folder, command: tuple[str, ...]) -> None:
    done = folder.run(*command)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"error: Nothing runs in {folder.workdir}. Start it with `minibase start`.\n"


def test_migrate_and_reset_work_on_a_stopped_database(folder: Folder) -> None:
    assert folder.run("migrate").stdout.endswith("2 files applied.\n")
    folder.write("seed.sql", "insert into notes values (1, 'changed');")
    assert folder.run("reset").returncode == 0
    assert folder.processes() == []
    folder.start()
    assert folder.sql("select text from notes") == "changed"


# -- what can be wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--port", "--db-port"])
def test_a_taken_port_is_named_with_the_option_to_use(folder: Folder, option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ports = {"--port": "auto", "--db-port": "auto", option: port}
        done = folder.run("start", *(part for pair in ports.items() for part in pair))
    assert done.returncode == 6
    assert done.stderr == (
        f"error: Port {port} on 127.0.0.1 cannot be used: another program already listens there. "
        f"Choose another with {option} PORT, or {option} auto.\n"
    )


@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_a_migration_that_fails_stops_the_start_with_one_sentence(folder: Folder, detach: tuple[str, ...]) -> None:
    folder.write("migrations/2_bad.sql", "create table half ();\nselect no_such_column;")
    done = folder.run("start", "--port", "auto", "--db-port", "auto", *detach)
    assert done.returncode == 1
    assert (
        '2_bad.sql, statement 2, line 2: column "no_such_column" does not exist. Nothing of this file was applied.'
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert folder.processes() == []


def test_a_folder_without_supabase_is_refused(tmp_path: Path, folder: Folder) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minibase.cli", "status", "--workdir", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{tmp_path} holds no supabase folder" in done.stderr
    assert not (tmp_path / ".minibase").exists()


@pytest.mark.parametrize("port", ["0", "65536", "http", ""])
def test_a_port_that_is_none_is_refused(folder: Folder, port: str) -> None:
    done = folder.run("start", "--port", port)
    assert done.returncode == 2
    assert "neither a port from 1 to 65535 nor `auto`" in done.stderr


def test_a_setting_without_postgres_in_it_is_refused(folder: Folder) -> None:
    folder.environment["MINIBASE_PG_BIN"] = "/nowhere"
    done = folder.run("start", "--port", "auto", "--db-port", "auto")
    assert done.returncode == 1
    assert "MINIBASE_PG_BIN is /nowhere, but there is no working PostgreSQL" in done.stderr


def test_damaged_secrets_are_refused_not_replaced(folder: Folder) -> None:
    folder.run("status")
    (folder.state / "secrets.json").write_text("{}")
    done = folder.run("start", "--port", "auto", "--db-port", "auto")
    assert done.returncode == 1
    assert "secrets.json: The stored secrets have no usable field" in done.stderr
    assert (folder.state / "secrets.json").read_text() == "{}"


def test_secrets_of_another_start_are_told_from_the_datas_own(folder: Folder) -> None:
    assert folder.run("migrate").returncode == 0
    (folder.state / "secrets.json").unlink()
    done = folder.run("start", "--port", "auto", "--db-port", "auto")
    assert done.returncode == 1
    assert "does not accept the password in secrets.json" in done.stderr
    assert folder.processes() == []


def test_a_schema_newer_than_the_files_is_refused_with_the_steps(folder: Folder) -> None:
    folder.write("migrations/2_newer.sql", "create table newer ();")
    assert folder.run("migrate").returncode == 0
    (folder.workdir / "supabase" / "migrations" / "2_newer.sql").unlink()
    done = folder.run("start", "--port", "auto", "--db-port", "auto")
    assert done.returncode == 1
    assert "The database has had migration 2, but supabase/migrations has no such file." in done.stderr
    assert "where a newer release made it, update to that one" in done.stderr
    assert folder.processes() == []


# -- accounts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ordinary(folder: Folder) -> Iterator[Folder]:
    """A folder of an ordinary user, who runs the commands in it; made by root, which alone can do that."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a command as another user; every other test already runs as an ordinary one")
    entry = pwd.getpwnam("nobody")
    account = Account(name="nobody", uid=entry.pw_uid, gid=entry.pw_gid)
    names = (sys.executable, shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath))
    pythons = [Path(name).resolve() for name in names if name]
    python = next((python for python in pythons if account.can_enter(python.parent)), None)
    if python is None or not all(account.can_enter(Path(path)) for path in (ROOT, *site_packages())):
        pytest.skip(f"SKIPPED ORDINARY-USER TEST: `nobody` can reach no Python {sys.version_info[:2]} or not {ROOT}")
    with tempfile.TemporaryDirectory(prefix="minibase-ordinary-") as parent:
        Path(parent).chmod(0o711)
        made = Folder(Path(parent) / "project", python, account)
        yield made
        made.remove()


def test_an_ordinary_user_has_everything_in_the_state_folder(ordinary: Folder) -> None:
    ordinary.start()
    assert ordinary.sql("select text from notes") == "seeded"
    assert ordinary.data_home() == ordinary.state
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {path.stat().st_uid for path in ordinary.state.rglob("*")} == {nobody}
    assert ordinary.run("stop").returncode == 0
    assert ordinary.processes() == []


def test_root_in_the_folder_of_somebody_else_leaves_it_theirs(ordinary: Folder) -> None:
    assert ordinary.run("migrate").returncode == 0
    as_root = subprocess.run(
        [sys.executable, "-m", "minibase.cli", "migrate", "--workdir", str(ordinary.workdir)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (as_root.returncode, as_root.stdout) == (0, "The database is up to date.\n")
    assert ordinary.run("migrate").returncode == 0


def test_an_ordinary_user_is_told_that_root_was_here_first(ordinary: Folder) -> None:
    (ordinary.state).mkdir(mode=0o700)
    done = ordinary.run("start")
    ordinary.state.rmdir()
    assert done.returncode == 1
    assert "belongs to another user (id 0), who started minibase here before" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data outside the project folder")
def test_a_copied_folder_does_not_run_on_the_originals_data(folder: Folder) -> None:
    assert folder.run("migrate").returncode == 0
    copy = folder.workdir.with_name("copy")
    shutil.copytree(folder.workdir, copy)
    done = subprocess.run(
        [sys.executable, "-m", "minibase.cli", "migrate", "--workdir", str(copy)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{copy} is a copy of {folder.workdir}" in done.stderr
    with contextlib.chdir(folder.workdir.parent):
        folder.workdir.rename("moved")
    moved = folder.workdir.with_name("moved")
    done = subprocess.run(
        [sys.executable, "-m", "minibase.cli", "migrate", "--workdir", str(moved)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    moved.rename(folder.workdir)
