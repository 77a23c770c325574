"""create: a new stack, with an idea if the planner is not to find one itself."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import click

from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.resolve import resolve, workdir_option

NAME_CHARACTERS = 80
TITLE_CHARACTERS = 200
DESCRIPTION_CHARACTERS = 4000


@click.command("create", help="Make a stack; it stands idle until it is played.")
@click.argument("name")
@click.option("--idea", metavar="TITLE", help="What to build; without it the planner finds an idea.")
@click.option("--description", metavar="TEXT", help="The idea in a few sentences (needs --idea).")
@click.option("--play", is_flag=True, help="Start it at once.")
@workdir_option
@json_option
def create(*, name: str, idea: str | None, description: str | None, play: bool, workdir: Path, as_json: bool) -> None:
    """Insert the stack and its idea."""
    name = checked_text(name, "the name", NAME_CHARACTERS)
    if description is not None and idea is None:
        raise CliError("--description was given without --idea; give the idea's title too", ExitCode.USAGE)
    title = None if idea is None else checked_text(idea, "the idea's title", TITLE_CHARACTERS)
    text = title if description is None else checked_text(description, "the description", DESCRIPTION_CHARACTERS)
    stack = {"id": str(uuid4()), "participant_name": name}
    with connect(resolve(workdir)) as client:
        client.table("agent_stacks").insert(stack).execute()
        if title is not None:
            client.table("project_ideas").insert(
                {"stack_id": stack["id"], "title": title, "description": text}
            ).execute()
        # Played last: the planner must see the given idea, not invent one.
        if play:
            client.table("agent_stacks").update({"execution_state": "running"}).eq("id", stack["id"]).execute()
    state = "running" if play else "idle"
    if as_json:
        print_json({**stack, "execution_state": state, "idea": title})
    else:
        print_line(f"{name}: {state} ({stack['id']})")


def checked_text(text: str, what: str, characters: int) -> str:
    """The text without blanks around it. Raises CliError where nothing is left or where it is too long."""
    text = text.strip()
    if not text:
        raise CliError(f"{what} is empty; give 1 to {characters} characters", ExitCode.USAGE)
    if len(text) > characters:
        raise CliError(f"{what} has {len(text)} characters; at most {characters} are allowed", ExitCode.USAGE)
    if "\0" in text:
        raise CliError(f"{what} holds a NUL character, which Postgres cannot store", ExitCode.USAGE)
    return text
