"""play, pause, resume, stop, delete: plain UPDATEs and DELETEs, the same that a page or a SQL editor sends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.choose import choose_all
from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import fetch_stacks
from orchestrator.terminal import printable

# The word of the command -> the state it asks for. The database owns which moves are legal.
STATES: Mapping[str, str] = {"play": "running", "pause": "paused", "resume": "running", "stop": "stopped"}

_HELP: Mapping[str, str] = {
    "play": "Start stacks: their agents run from the next beat, which comes at once.",
    "pause": "Pause stacks: runs in flight still land, no new one starts.",
    "resume": "Resume paused stacks exactly where they were.",
    "stop": "Stop stacks: calls in flight are cancelled and nothing of them lands.",
}


def move_command(word: str) -> click.Command:
    """The command that asks for one state."""

    @click.command(word, help=_HELP[word])
    @click.argument("stacks", nargs=-1, metavar="STACK...")
    @click.option("--all", "everything", is_flag=True, help="Every stack there is.")
    @workdir_option
    @json_option
    def move(stacks: tuple[str, ...], everything: bool, workdir: Path, as_json: bool) -> None:
        check_selection(stacks, everything=everything)
        with connect(resolve(workdir)) as client:
            chosen = _select(fetch_stacks(client), stacks, everything=everything)
            if word == "resume":
                chosen = _paused_of(chosen, everything=everything)
            moved = _update(client, [row["id"] for row in chosen], STATES[word])
        _report(moved, as_json=as_json)

    return move


play, pause, resume, stop = map(move_command, STATES)


@click.command("delete", help="Delete stacks with everything that belongs to them. Nothing brings them back.")
@click.argument("stacks", nargs=-1, metavar="STACK...")
@click.option("--all", "everything", is_flag=True, help="Every stack there is.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workdir_option
@json_option
def delete(stacks: tuple[str, ...], everything: bool, yes: bool, workdir: Path, as_json: bool) -> None:
    """Delete rows of agent_stacks; the database removes what hangs on them."""
    check_selection(stacks, everything=everything)
    with connect(resolve(workdir)) as client:
        chosen = _select(fetch_stacks(client), stacks, everything=everything)
        names = ", ".join(row["participant_name"] for row in chosen)
        if chosen and not yes and not click.confirm(printable(f"Delete {len(chosen)} stacks ({names})?"), err=True):
            raise CliError("nothing was deleted")
        ids = [row["id"] for row in chosen]
        deleted: list[Any] = client.table("agent_stacks").delete().in_("id", ids).execute().data if ids else []
    if as_json:
        print_json([{"id": row["id"], "participant_name": row["participant_name"]} for row in deleted])
        return
    for row in deleted:
        print_line(f"{row['participant_name']}: deleted")


def check_selection(stacks: tuple[str, ...], *, everything: bool) -> None:
    """Raise CliError unless stacks are named or all are meant, not both."""
    if bool(stacks) == everything:
        said = "both stacks and --all were given" if everything else "no stack was named"
        raise CliError(f"{said}; name stacks, or say --all", ExitCode.USAGE)


def _select(rows: list[dict[str, Any]], stacks: tuple[str, ...], *, everything: bool) -> list[dict[str, Any]]:
    return rows if everything else choose_all(rows, stacks)


def _paused_of(chosen: list[dict[str, Any]], *, everything: bool) -> list[dict[str, Any]]:
    # `resume --all` must not start what was never played or was stopped on purpose.
    if everything:
        return [row for row in chosen if row["execution_state"] == "paused"]
    wrong = next((row for row in chosen if row["execution_state"] not in {"paused", "running"}), None)
    if wrong is not None:
        name, state = wrong["participant_name"], wrong["execution_state"]
        raise CliError(f"{name} is {state}, not paused; start it with `stackbeat play`", ExitCode.REFUSED)
    return chosen


def _update(client: Any, ids: list[str], state: str) -> list[dict[str, Any]]:
    if not ids:
        return []
    rows: list[dict[str, Any]] = (
        client.table("agent_stacks").update({"execution_state": state}).in_("id", ids).execute().data
    )
    return sorted(rows, key=lambda row: str(row["participant_name"]))


def _report(moved: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json([{key: row[key] for key in ("id", "participant_name", "execution_state")} for row in moved])
        return
    for row in moved:
        print_line(f"{row['participant_name']}: {row['execution_state']}")
    if not moved:
        click.echo("no stack to move")
