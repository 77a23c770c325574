"""What cannot work is said in one sentence, with an exit code, before anything is left half done."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from processes import Stack, clean_environment, stackbeat

from orchestrator.cli.errors import ExitCode

KEY = "sb_secret_abcdefghijklmnop"


def attempt(workdir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        stackbeat(*arguments),
        cwd=workdir,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The error: exactly one line that begins so, and no stack trace."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return errors[0]


PORTS = ("--web-port", "--port", "--db-port", "--metrics-port")


@pytest.mark.parametrize(
    ("option", "port_name"),
    [
        ("--web-port", "the dashboard"),
        ("--port", "the API"),
        ("--db-port", "the database"),
        ("--metrics-port", "metrics"),
    ],
)
def test_a_taken_port_is_named_with_its_option(workdir: Path, option: str, port_name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        others = [text for name in PORTS if name != option for text in (name, "auto")]
        done = attempt(workdir, "up", option, str(port), *others)
    said = sentence(done)
    assert done.returncode == ExitCode.BUSY
    assert str(port) in said
    assert option in said
    assert port_name in said
    assert not (workdir / ".stackbeat" / "up.json").exists()


@pytest.mark.parametrize("as_setting", [False, True])
def test_a_daemon_whose_metrics_port_is_taken_does_not_start(workdir: Path, as_setting: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = [] if as_setting else ["--metrics-port", port]
        setting = {"STACKBEAT_METRICS_PORT": port} if as_setting else {}
        nowhere = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_SECRET_KEY": KEY}
        done = attempt(workdir, "run", *options, **setting, **nowhere)
    assert done.returncode == ExitCode.BUSY, "said before anybody looks for the database"
    assert f"port {port} for metrics is already in use" in sentence(done)
    assert "--metrics-port" in sentence(done)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_metrics_address_of_another_machine_is_said(workdir: Path, host: str) -> None:
    nowhere = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_SECRET_KEY": KEY}
    done = attempt(workdir, "run", "--metrics-port", "auto", STACKBEAT_METRICS_HOST=host, **nowhere)
    assert done.returncode == ExitCode.USAGE
    assert host in sentence(done)


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"STACKBEAT_CADENSE_S": "1"}, ExitCode.USAGE, "STACKBEAT_CADENCE_S"),
        ({"STACKBEAT_CADENCE_S": "soon"}, ExitCode.USAGE, "soon"),
        ({"STACKBEAT_METRICS_PORT": "70000"}, ExitCode.USAGE, "70000"),
        ({"SUPABASE_URL": "127.0.0.1:54321"}, ExitCode.USAGE, "SUPABASE_SERVICE_ROLE_KEY"),
        ({"SUPABASE_URL": "127.0.0.1:54321", "SUPABASE_SECRET_KEY": KEY}, ExitCode.USAGE, "127.0.0.1:54321"),
        ({"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_SECRET_KEY": "nonsense"}, ExitCode.USAGE, "sb_secret_"),
    ],
)
def test_a_wrong_setting_is_named(workdir: Path, environment: dict[str, str], code: ExitCode, said: str) -> None:
    done = attempt(workdir, "up", "--web-port", "auto", **environment)
    assert done.returncode == code
    assert said in sentence(done)


def test_an_unknown_key_of_the_file_is_named(workdir: Path) -> None:
    (workdir / "stackbeat.toml").write_text("cadense_s = 3\n")
    done = attempt(workdir, "up", "--web-port", "auto")
    assert done.returncode == ExitCode.USAGE
    assert "cadense_s" in sentence(done)


@pytest.mark.parametrize("arguments", [["ls"], ["run"], ["tick", "Night Owls"]])
def test_an_unreachable_supabase_is_named(workdir: Path, arguments: list[str]) -> None:
    done = attempt(workdir, *arguments, SUPABASE_URL="http://127.0.0.1:9", SUPABASE_SECRET_KEY=KEY)
    assert done.returncode == ExitCode.NO_SUPABASE
    assert "http://127.0.0.1:9" in sentence(done)


@pytest.mark.parametrize("arguments", [["ls"], ["run"], ["create", "Atlas"], ["operator", "add", "a@example.com"]])
def test_a_wrong_service_key_is_said(live_stack: Stack, workdir: Path, arguments: list[str]) -> None:
    done = attempt(workdir, *arguments, SUPABASE_URL=live_stack.api_url, SUPABASE_SECRET_KEY=KEY)
    assert done.returncode == ExitCode.NO_SUPABASE
    assert "key" in sentence(done)


@pytest.mark.minibase_only("minibase applies the migrations")
def test_a_migration_that_fails_stops_the_start_and_is_named(workdir: Path) -> None:
    broken = workdir / "supabase" / "migrations" / "20991231000000_broken.sql"
    broken.write_text("create table public.half(id int);\nselect 1 / 0;\n")
    ports = ("--port", "auto", "--db-port", "auto", "--web-port", "auto")
    done = attempt(workdir, "up", *ports)
    assert done.returncode != 0
    assert "20991231000000_broken.sql" in sentence(done)
    assert "division by zero" in done.stderr


@pytest.mark.minibase_only("its ports")
@pytest.mark.parametrize(("section", "option"), [("api", "--port"), ("db", "--db-port")])
def test_a_taken_port_of_the_project_s_own_settings_is_named_with_the_option(
    workdir: Path, section: str, option: str
) -> None:
    other = {"api": "--db-port", "db": "--port"}[section]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (workdir / "supabase" / "config.toml").write_text(f"[{section}]\nport = {port}\n")
        done = attempt(workdir, "up", "--web-port", "auto", other, "auto")
    assert done.returncode == ExitCode.BUSY
    assert f"Port {port} on 127.0.0.1 cannot be used" in sentence(done)
    assert f"{option} auto" in sentence(done)


def test_a_project_without_its_settings_is_said(tmp_path: Path) -> None:
    (tmp_path / "supabase").mkdir()
    done = attempt(tmp_path, "up", "--web-port", "auto")
    assert done.returncode == ExitCode.USAGE
    assert "supabase/config.toml" in sentence(done)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".stackbeat"] == ["supabase"]


@pytest.mark.parametrize("text", ["", "   ", "x" * 100_000])
def test_chat_text_that_is_empty_or_too_long_is_refused(live_stack: Stack, text: str) -> None:
    done = live_stack.run("say", "Night Owls", text)
    assert done.returncode == ExitCode.USAGE
    assert "2000" in done.stderr


def test_a_megabyte_of_chat_from_stdin_is_refused(live_stack: Stack) -> None:
    done = live_stack.run("say", "Night Owls", "-", stdin="x" * 1_000_000)
    assert done.returncode == ExitCode.USAGE
    assert "1000000 characters" in done.stderr


def test_an_ambiguous_name_lists_the_candidates(live_stack: Stack) -> None:
    ids = [live_stack.json("create", "Twin")["id"] for _ in range(2)]
    done = live_stack.run("play", "twin")
    assert done.returncode == ExitCode.NO_STACK
    assert all(identifier in done.stderr for identifier in ids)
    assert {row["execution_state"] for row in live_stack.json("ls") if row["id"] in ids} == {"idle"}
    live_stack.json("delete", *ids, "--yes")


def test_pausing_what_is_idle_changes_nothing_and_resuming_it_is_refused(live_stack: Stack) -> None:
    made = live_stack.json("create", "Resting")
    assert live_stack.json("pause", "Resting")[0]["execution_state"] == "idle"
    done = live_stack.run("resume", "Resting")
    assert done.returncode == ExitCode.REFUSED
    assert "stackbeat play" in done.stderr
    live_stack.json("delete", made["id"], "--yes")
