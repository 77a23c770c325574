"""prompt: the instructions an installed agent comes with, to begin one's own with."""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from agents.ask import instructions
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import json_option, print_json
from orchestrator.registry import GROUP


@click.command("prompt")
@click.argument("agent")
@json_option
def prompt(*, agent: str, as_json: bool) -> None:
    """Print the instructions that AGENT comes with; stackbeat.toml may name a file that takes their place."""
    packages = {point.name: point.module for point in entry_points(group=GROUP)}
    if agent not in packages:
        raise CliError(f"no agent {agent!r} is installed: there are {', '.join(sorted(packages))}", ExitCode.USAGE)
    try:
        text = instructions(packages[agent])
    except (OSError, ImportError, TypeError):
        raise CliError(
            f"the agent {agent!r} ({packages[agent]}) has no prompt.md beside its code: ask whoever wrote it"
        ) from None
    if as_json:
        print_json({"agent": agent, "prompt": text})
    else:
        click.echo(text)
