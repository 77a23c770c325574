"""Which Supabase `up` takes, and why: --on, else SUPABASE_URL, else a running CLI stack, else minibase."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.place import find_place

KEY = "sb_secret_abcdefghijklmnop"
GIVEN = {"SUPABASE_URL": "https://given.example", "SUPABASE_SECRET_KEY": KEY}
STATUS = f'API_URL="http://127.0.0.1:54321"\nPUBLISHABLE_KEY="sb_publishable_x"\nSECRET_KEY="{KEY}"'


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A project where nothing runs."""
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text("")
    return tmp_path


@pytest.fixture(autouse=True)
def path(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_cli(path: Path, *, status: str, code: int = 0) -> None:
    """A `supabase` that prints this status, with a warning before it, as the real one has them."""
    program = path / "supabase"
    program.write_text(
        "#!/bin/sh\n"
        "[ \"$*\" = 'status -o env' ] || exit 99\n"
        "echo '! a warning'\n"
        f"/bin/cat <<'END'\n{status}\nEND\n"
        f"exit {code}\n"
    )
    program.chmod(0o755)


def test_supabase_url_comes_first(workdir: Path, path: Path) -> None:
    put_cli(path, status=STATUS)
    assert find_place(None, GIVEN, workdir).as_text() == "url at https://given.example (SUPABASE_URL is set)"


def test_then_a_running_cli_stack(workdir: Path, path: Path) -> None:
    put_cli(path, status=STATUS)
    place = find_place(None, {}, workdir)
    assert place.as_text() == "cli at http://127.0.0.1:54321 (a Supabase CLI stack runs here)"
    assert place.target is not None
    assert (place.target.service_key, place.target.publishable_key) == (KEY, "sb_publishable_x")


@pytest.mark.parametrize("installed", [True, False])
def test_else_minibase(workdir: Path, path: Path, installed: bool) -> None:
    if installed:
        put_cli(path, status="", code=1)
    place = find_place(None, {}, workdir)
    assert place.as_text() == "minibase (SUPABASE_URL is not set and no Supabase CLI stack runs here)"
    assert place.target is None


def test_what_is_named_is_taken_whatever_else_is_there(workdir: Path, path: Path) -> None:
    put_cli(path, status=STATUS)
    assert find_place("minibase", GIVEN, workdir).as_text() == "minibase (--on minibase)"
    assert find_place("cli", GIVEN, workdir).as_text() == "cli at http://127.0.0.1:54321 (--on cli)"
    assert find_place("http://127.0.0.1:9/", GIVEN, workdir).as_text() == "url at http://127.0.0.1:9 (--on)"


@pytest.mark.parametrize(
    ("on", "environ", "code", "words"),
    [
        ("http://127.0.0.1:9", {}, ExitCode.USAGE, ("--on is http://127.0.0.1:9", "SUPABASE_SERVICE_ROLE_KEY")),
        ("http://h/rest/v1", GIVEN, ExitCode.USAGE, ("--on holds more", "'http://h/rest/v1'")),
        ("minbase", GIVEN, ExitCode.USAGE, ("'minbase'", "cli or minibase")),
        ("127.0.0.1:54321", GIVEN, ExitCode.USAGE, ("'127.0.0.1:54321'", "http://127.0.0.1:54321")),
        ("", GIVEN, ExitCode.USAGE, ("''", "--on")),
        ("cli", GIVEN, ExitCode.NO_SUPABASE, ("no `supabase` program", "supabase start")),
    ],
)
def test_what_cannot_be_is_said_with_what_to_type(
    workdir: Path, on: str, environ: dict[str, str], code: ExitCode, words: tuple[str, ...]
) -> None:
    with pytest.raises(CliError) as caught:
        find_place(on, environ, workdir)
    assert caught.value.code == code
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [("", 1, "`supabase start`"), ('DB_URL="x"', 0, "API_URL"), ('API_URL="http://h"', 0, "SERVICE_ROLE_KEY")],
)
def test_a_cli_stack_that_is_not_there_or_not_whole(
    workdir: Path, path: Path, status: str, code: int, words: str
) -> None:
    put_cli(path, status=status, code=code)
    with pytest.raises(CliError, match=words) as caught:
        find_place("cli", {}, workdir)
    assert caught.value.code == ExitCode.NO_SUPABASE
