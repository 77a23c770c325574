"""What the pages tell people to type is there: each command, each option, each line of Python and of TOML."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest
from processes import ROOT

from minibase.cli import cli as minibase
from orchestrator.cli.group import main as stackbeat
from orchestrator.config import Config

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
CALL = re.compile(r"(?:^|[\s/;&`])(stackbeat|minibase) ([a-z]+)((?: [^\n#;&|>`]*)?)", re.MULTILINE)
SETTINGS = {"supabase_url": "http://127.0.0.1:54321", "service_key": "sb_secret_abcdefghijklmnopqrstuv_12345678"}


def typed(page: Path) -> str:
    """What stands in the page's blocks, and single commands in back-quotes."""
    text = page.read_text()
    inline = re.findall(r"`((?:stackbeat|minibase) [^`]+)`", BLOCK.sub("", text))
    return "\n".join([*(code for kind, code in BLOCK.findall(text) if kind in {"", "ini"}), *inline])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_is_there(page: Path) -> None:
    for program, name, rest in CALL.findall(typed(page)):
        group = stackbeat if program == "stackbeat" else minibase
        with click.Context(group) as context:
            command = group.get_command(context, name)
        assert command is not None, f"{program} {name}"
        if program == "minibase" and name == "psql":
            continue  # its options are psql's own
        inner = command.commands.values() if isinstance(command, click.Group) else [command]
        known = {word for one in inner for option in one.params for word in option.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest)) <= known, f"{program} {name}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_piece_of_toml_is_a_valid_setting(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKBEAT_OFFLINE", raising=False)  # real providers are named, nobody is asked
    for kind, code in BLOCK.findall(page.read_text()):
        if kind == "toml":
            values = tomllib.loads(code)
            keys = {"models": {name: {"api_key": "k"} for name in ("groq", "openai")}}
            models = {**keys["models"], **values.get("models", {})}
            for name, own in keys["models"].items():
                models[name] = {**own, **models[name]}
            Config.build({**SETTINGS, **values, "models": models})


def test_the_page_on_agents_tests_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "own-agent"))
    page = (ROOT / "docs" / "how-to" / "own-agent.md").read_text()
    (code,) = [code for kind, code in BLOCK.findall(page) if kind == "python"]
    assert "assert" in code
    exec(compile(code, "own-agent.md", "exec"), {})
