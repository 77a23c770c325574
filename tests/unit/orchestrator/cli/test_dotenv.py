"""The file `.env`: what its lines mean, that the environment goes before it, and that no value is ever told."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.cli.dotenv import environment, parse
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.resolve import resolve


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=value", "value"),
        ("export KEY=value", "value"),
        ("  KEY = value  ", "value"),
        ("KEY=", ""),
        ('KEY=""', ""),
        ('KEY="two words"', "two words"),
        ("KEY='a \"b\" c'", 'a "b" c'),
        ("KEY=value # why", "value"),
        ('KEY="value" # why', "value"),
        ("KEY=a#b", "a#b"),
        ("KEY=a=b==", "a=b=="),
    ],
)
def test_a_line(line: str, value: str) -> None:
    assert parse(f"# first\n\n{line}\r\n", Path(".env")) == {"KEY": value}


@pytest.mark.parametrize(
    "line", ["sb_secret_abc", "KEY=two secret words", 'KEY="half secret', "1KEY=secret", "KEY: secret"]
)
def test_a_line_that_is_none_is_named_without_its_value(line: str) -> None:
    with pytest.raises(CliError) as raised:
        parse(f"A=1\n{line}\n", Path("/project/.env"))
    assert "/project/.env, line 2: write NAME=value" in raised.value.message
    assert "secret" not in raised.value.message
    assert raised.value.exit_code == ExitCode.USAGE


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SUPABASE_URL=http://file:1\nSUPABASE_SECRET_KEY=sb_secret_file\n")
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    monkeypatch.delenv("SUPABASE_SECRET_KEY", raising=False)
    monkeypatch.setenv("SUPABASE_URL", "http://shell:2")
    target = resolve(tmp_path)
    assert (target.url, target.service_key) == ("http://shell:2", "sb_secret_file")


def test_a_folder_without_the_file_has_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://shell:2")
    assert environment(tmp_path)["SUPABASE_URL"] == "http://shell:2"


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"KEY=\xff\xfe")
    with pytest.raises(CliError, match="is not UTF-8 text"):
        environment(tmp_path)


def test_an_unknown_setting_of_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("SUPABASE_URL=http://h\nSUPABASE_SECRET_KEY=sb_secret_abc\nSTACKBEAT_CADENSE_S=1\n")
    result = CliRunner().invoke(main, ["run", "--workdir", str(tmp_path)])
    assert result.exit_code == ExitCode.USAGE
    assert "STACKBEAT_CADENSE_S is not a setting of the daemon; did you mean STACKBEAT_CADENCE_S?" in result.stderr
