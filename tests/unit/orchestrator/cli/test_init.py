"""`stackbeat init`, and that the files it writes hold every setting there is."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel

from orchestrator.cli import main
from orchestrator.cli.carried import carried
from orchestrator.cli.dotenv import parse
from orchestrator.config import ENVIRONMENT, AgentSettings, Config, Endpoint, Latency, Price, SavingStep

SETTING = re.compile(r"# (?P<assignment>[a-z_]+ = .+?)\s+# (?P<words>.+)")
NAMED_IN_ENV = ("SUPABASE_", "GROQ_", "OPENAI_")


def stackbeat(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_both_files_are_written_and_the_one_with_secrets_is_private(tmp_path: Path) -> None:
    result = stackbeat("init", "--workdir", tmp_path)
    assert result.exit_code == 0
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert f"wrote {tmp_path / '.env'} (only you can read it)" in result.stdout
    assert f"wrote {tmp_path / 'stackbeat.toml'}\n" in result.stdout
    assert "`stackbeat up`" in result.stdout
    assert parse((tmp_path / ".env").read_text(), tmp_path / ".env") == {}, "a fresh .env changes nothing"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=1\n")
    result = stackbeat("init", "--json", "--workdir", tmp_path)
    assert json.loads(result.stdout) == {"workdir": str(tmp_path), "written": ["stackbeat.toml"], "kept": [".env"]}
    (tmp_path / "stackbeat.toml").write_text("slots = 3\n")
    result = stackbeat("init", "--workdir", tmp_path)
    assert result.exit_code == 0
    assert f"kept {tmp_path / '.env'}: it was there already" in result.stdout
    assert (tmp_path / ".env").read_text() == "MINE=1\n"
    assert (tmp_path / "stackbeat.toml").read_text() == "slots = 3\n"


def test_a_link_to_nowhere_is_somebodys_too_and_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    result = stackbeat("init", "--workdir", tmp_path)
    assert result.exit_code == 0
    assert f"kept {tmp_path / '.env'}" in result.stdout
    assert not (tmp_path / "elsewhere").exists()


# Sections below which any name may stand: what each holds, and the name in the example.
ANY_NAME: dict[str, tuple[type[BaseModel], str]] = {
    "agents": (AgentSettings, "builder"),
    "degrade": (SavingStep, "slow"),
    "endpoints": (Endpoint, "my-box"),
    "prices": (Price, "groq/*"),
}


def settings(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key of the configuration with its default."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if name in ANY_NAME:
            model, example = ANY_NAME[name]
            yield from settings(model, (*path, name, example))
            continue
        if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not Latency:
            yield from settings(inner, (*path, name))
        else:
            yield (*path, name), None if field.is_required() else field.default


def lines_of_the_example() -> dict[tuple[str, ...], tuple[str, str]]:
    """Key -> how the example sets it and what it says about it."""
    found, section = {}, ()
    for line in carried("stackbeat.example.toml").read_text().splitlines():
        if line.removeprefix("# ").startswith("["):
            section = tuple(part.strip('"') for part in line.removeprefix("# ").strip("[]").split("."))
        elif match := SETTING.fullmatch(line):
            found[(*section, match["assignment"].partition(" ")[0])] = (match["assignment"], match["words"])
    return found


SETTINGS = dict(settings(Config)) | {("models", "offline"): False}  # its default is the environment's


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example names real providers; none of them is asked here."""
    monkeypatch.delenv("STACKBEAT_OFFLINE", raising=False)


EXAMPLE = lines_of_the_example()


def test_the_example_has_every_key_of_the_configuration_and_no_other() -> None:
    assert set(EXAMPLE) == set(SETTINGS)


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_the_example_shows_the_default_or_says_that_there_is_none(path: tuple[str, ...]) -> None:
    assignment, words = EXAMPLE[path]
    name = next((name for name, place in ENVIRONMENT.items() if place == path), None)
    assert name is None or name in words
    if SETTINGS[path] is None:
        assert "unset" in words
    # Some keys need those beside them.
    beside = [assignment] if path[:-1] == ("models",) else [EXAMPLE[key][0] for key in EXAMPLE if key[:-1] == path[:-1]]
    header = ".".join(f'"{part}"' for part in path[:-1])
    values = tomllib.loads("\n".join([*([f"[{header}]"] if header else []), *beside]))
    given = Config.build({**values, "supabase_url": "http://h", "service_key": "sb_secret_abc"})
    if SETTINGS[path] is not None:
        found: object = given
        for key in path:
            found = found[key] if isinstance(found, Mapping) else getattr(found, key)
        assert found == SETTINGS[path]


@pytest.mark.parametrize("name", [name for name in ENVIRONMENT if name.startswith(NAMED_IN_ENV)])
def test_the_env_example_names_every_address_and_key(name: str) -> None:
    assert name in carried(".env.example").read_text()
