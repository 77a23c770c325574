"""The command group: every command of `stackbeat`, and nothing else."""

from __future__ import annotations

from importlib.metadata import version

import click

from orchestrator.cli.create import create
from orchestrator.cli.down import down
from orchestrator.cli.look import ls, show
from orchestrator.cli.moves import STATES, delete, move_command
from orchestrator.cli.operators import operator
from orchestrator.cli.say import say


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("stackbeat"), prog_name="stackbeat")
def main() -> None:
    """Run fleets of LLM agent stacks on Supabase, watch them and steer them."""


for command in (create, down, ls, show, delete, say, operator, *map(move_command, STATES)):
    main.add_command(command)
