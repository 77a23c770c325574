"""docs/cli.md names every command with all its options, and nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli import main
from orchestrator.cli.errors import ExitCode

PAGE = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
ROWS = [re.split(r"(?<!\\)\|", line) for line in PAGE.splitlines() if line.startswith("| `")]
# Every command has these; the page says so once, above the table.
COMMON = {"--workdir", "--json", "--help"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command by its full name, with its own options."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            options = {
                option
                for parameter in command.params
                if isinstance(parameter, click.Option) and not parameter.hidden
                for option in parameter.opts
                if option.startswith("--")
            }
            yield " ".join((*path, name)), options - COMMON


COMMANDS = dict(commands(main))


def documented() -> dict[str, set[str]]:
    """The commands that the page's rows begin with, each with the options its row names."""
    found = {}
    for row in ROWS:
        if row[1].strip().isdecimal():
            continue
        for quoted in re.findall(r"`([^`]+)`", row[1]):
            words = re.match(r"[a-z]+(?: [a-z]+)*", quoted)
            if words:
                found[words[0]] = set(re.findall(r"--[a-z-]+", " ".join(row[1:3])))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_row_with_its_options(name: str) -> None:
    assert name in documented(), f"docs/cli.md has no row for `{name}`"
    assert COMMANDS[name] <= documented()[name]


def test_no_row_is_of_a_command_that_does_not_exist() -> None:
    assert set(documented()) <= set(COMMANDS)


def test_every_exit_code_has_a_row() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert [int(code) for code in rows] == sorted(ExitCode)
