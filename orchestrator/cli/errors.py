"""What a command says when it cannot do what was asked: one sentence on stderr and an exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import IO, Any

import click

from orchestrator.terminal import printable


class ExitCode(IntEnum):
    """Exit codes of every `stackbeat` command (docs/cli.md)."""

    OK = 0
    FAILED = 1  # something went wrong that no other code names
    USAGE = 2  # an option, argument or setting is not valid (click's own code for it)
    NO_SUPABASE = 3  # none found, not reachable, or it does not accept the key
    NO_STACK = 4  # no stack of that name, or more than one
    REFUSED = 5  # Supabase was asked and said no
    BUSY = 6  # a port or a folder is in use by another process
    NO_ANSWER = 7  # what was waited for did not come in time


class CliError(click.ClickException):
    """A sentence for people: what happened, with which value, and what to do."""

    def __init__(self, sentence: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click has a class attribute here
        """The process's exit code."""
        return int(self.code)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence on stderr, without the usage text click would add."""
        click.echo(f"error: {printable(self.format_message())}", file=file, err=file is None)
