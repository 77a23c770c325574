"""The command group: every command of `stackbeat`, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import click

# Command -> where it is. Loaded when named: `stackbeat ls` must not wait for the imports of `stackbeat up`.
COMMANDS: Mapping[str, str] = {
    "init": "init:init",
    "doctor": "doctor:doctor",
    "up": "up:up",
    "down": "down:down",
    "run": "run:run",
    "create": "create:create",
    "ls": "look:ls",
    "show": "look:show",
    "play": "moves:play",
    "pause": "moves:pause",
    "resume": "moves:resume",
    "stop": "moves:stop",
    "delete": "moves:delete",
    "say": "say:say",
    "logs": "logs:logs",
    "watch": "watch:watch",
    "tick": "tick:tick",
    "prompt": "prompt:prompt",
    "memory": "memory:memory",
    "cost": "cost:cost",
    "budget": "cost:budget",
    "prune": "prune:prune",
    "operator": "operators:operator",
    "bench": "bench:bench",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None, which click tells as a usage error."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(import_module(f"orchestrator.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("stackbeat"), prog_name="stackbeat")
def main() -> None:
    """Run fleets of LLM agent stacks on Supabase, watch them and steer them."""
