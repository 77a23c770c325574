"""What the commands refuse before they look for a Supabase: one sentence, one exit code, nothing on stdout."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.cli.errors import ExitCode


@pytest.fixture(autouse=True)
def no_supabase(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


def stackbeat(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["say", "Atlas", ""], ExitCode.USAGE, "the text is empty"),
        (["say", "Atlas", "  \n"], ExitCode.USAGE, "the text is empty"),
        (["say", "Atlas", "x" * 1_000_000], ExitCode.USAGE, "1000000 characters; at most 2000"),
        (["say", "Atlas", "hello", "--as", "n" * 41], ExitCode.USAGE, "at most 40"),
        (["create", ""], ExitCode.USAGE, "the name is empty"),
        (["create", "n" * 81], ExitCode.USAGE, "at most 80"),
        (["create", "Atlas", "--idea", ""], ExitCode.USAGE, "the idea's title is empty"),
        (["create", "Atlas", "--description", "d"], ExitCode.USAGE, "--idea"),
        (["play"], ExitCode.USAGE, "no stack was named"),
        (["pause", "Atlas", "--all"], ExitCode.USAGE, "both"),
        (["operator", "add", "ada"], ExitCode.USAGE, "'ada' is not an e-mail address"),
        (["ls"], ExitCode.NO_SUPABASE, "no Supabase found"),
        (["ls", "--workdir", "/nonexistent"], ExitCode.USAGE, "/nonexistent"),
    ],
)
def test_refused(tmp_path: Path, arguments: list[str], code: ExitCode, said: str) -> None:
    result = stackbeat(*arguments, *(() if "--workdir" in arguments else ("--workdir", tmp_path)))
    assert result.exit_code == code
    assert said in result.stderr
    assert not result.stdout


def test_an_unreachable_supabase_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_abc")
    result = stackbeat("ls", "--json")
    assert result.exit_code == ExitCode.NO_SUPABASE
    assert result.stderr.startswith("error: cannot reach Supabase at http://127.0.0.1:9")
    assert result.stderr.count("\n") == 1


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    result = stackbeat("down", "--json", "--workdir", tmp_path)
    assert (result.exit_code, result.stdout) == (0, '{"stopped": false, "pid": null}\n')


class Elsewhere(BaseHTTPRequestHandler):
    """A web server that knows nothing of Supabase and answers every address with its page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Welcome</h1>")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_address_that_is_no_supabase_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("SUPABASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_abc")
        result = stackbeat("ls")
        server.shutdown()
        thread.join()
    assert result.exit_code == ExitCode.NO_SUPABASE
    assert "not as Supabase's API does" in result.stderr
    assert result.stderr.count("\n") == 1
