"""memory: what the agents of a stack remember, to read, search and edit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from orchestrator.cli.choose import choose
from orchestrator.cli.create import checked_text
from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import Column, json_option, print_json, print_line, print_rows
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import PAGE_ROWS, fetch_stacks
from orchestrator.verbs import VERSION

if TYPE_CHECKING:
    from supabase import Client

Row = dict[str, Any]
ITEM_CHARACTERS = 500
KINDS = click.Choice(["fact", "learning", "summary"])
IMPORTANCE = click.IntRange(1, 10)
SHOWN = "id,agent_type,kind,content,importance,run_id,created_at,expires_at"
COLUMNS = (
    Column(title="AGENT", value="agent_type"),
    Column(title="KIND", value="kind"),
    Column(title="WEIGHT", value="importance"),
    Column(title="SINCE", value=lambda row: str(row["created_at"])[:16].replace("T", " ")),
    Column(title="ITEM", value="content"),
    Column(title="ID", value=lambda row: str(row["id"])[:8]),
)


@click.group("memory", help="What the agents of a stack remember: read, search, add, edit, forget.")
def memory() -> None:
    """Items are rows of the table `memories`; these commands are one SELECT, INSERT, UPDATE or DELETE each."""


@memory.command("ls", help="List what a stack remembers, or what its agents would recall for a text.")
@click.argument("stack")
@click.option("--agent", help="Of one agent only.")
@click.option("--search", metavar="TEXT", help="What fits this text best, by full-text search.")
@workdir_option
@json_option
def list_items(*, stack: str, agent: str | None, search: str | None, workdir: Path, as_json: bool) -> None:
    """Print the items, the most important first."""
    with connect(resolve(workdir)) as client:
        row = choose(fetch_stacks(client), stack)
        items = _fetch(client, row["id"], agent) if search is None else _recall(client, row["id"], agent, search)
    empty = f"{row['participant_name']} remembers nothing" + ("" if search is None else " of that")
    print_rows(items, COLUMNS, as_json=as_json, empty=empty)


@memory.command("add", help="Teach an agent of a stack something. TEXT of - is read from stdin.")
@click.argument("stack")
@click.argument("text")
@click.option(
    "--agent", default="planner", show_default=True, help="Whose item it is; all agents of the stack recall it."
)
@click.option("--kind", type=KINDS, default="fact", show_default=True)
@click.option("--importance", type=IMPORTANCE, default=7, show_default=True)
@workdir_option
@json_option
def add(*, stack: str, text: str, agent: str, kind: str, importance: int, workdir: Path, as_json: bool) -> None:
    """One row, inserted."""
    content = checked_text(sys.stdin.read() if text == "-" else text, "the item", ITEM_CHARACTERS)
    with connect(resolve(workdir)) as client:
        row = choose(fetch_stacks(client), stack)
        item = {"stack_id": row["id"], "agent_type": agent, "kind": kind, "importance": importance, "content": content}
        made = cast("Row", client.table("memories").insert(item).execute().data[0])
    _say(made, f"the {agent} of {row['participant_name']} remembers it ({made['id']})", as_json=as_json)


@memory.command("edit", help="Change an item's text, kind or importance. ITEM is its id or the beginning of it.")
@click.argument("stack")
@click.argument("item")
@click.option("--text", help="Its new words; - reads them from stdin.")
@click.option("--kind", type=KINDS)
@click.option("--importance", type=IMPORTANCE)
@workdir_option
@json_option
def edit(
    *, stack: str, item: str, text: str | None, kind: str | None, importance: int | None, workdir: Path, as_json: bool
) -> None:  # fmt: skip
    """One row, updated."""
    content = (
        None if text is None else checked_text(sys.stdin.read() if text == "-" else text, "the item", ITEM_CHARACTERS)
    )
    given: Row = {"content": content, "kind": kind, "importance": importance}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise CliError("an edit needs --text, --kind or --importance", ExitCode.USAGE)
    with connect(resolve(workdir)) as client:
        found = _one(client, choose(fetch_stacks(client), stack), item)
        made = cast("Row", client.table("memories").update(changes).eq("id", found["id"]).execute().data[0])
    _say(made, f"changed: {made['content']}", as_json=as_json)


@memory.command("forget", help="Delete an item. ITEM is its id or the beginning of it.")
@click.argument("stack")
@click.argument("item")
@workdir_option
@json_option
def forget(*, stack: str, item: str, workdir: Path, as_json: bool) -> None:
    """One row, deleted."""
    with connect(resolve(workdir)) as client:
        found = _one(client, choose(fetch_stacks(client), stack), item)
        client.table("memories").delete().eq("id", found["id"]).execute()
    _say(found, f"forgotten: {found['content']}", as_json=as_json)


def _fetch(client: Client, stack_id: str, agent: str | None) -> list[Row]:
    query = client.table("memories").select(SHOWN).eq("stack_id", stack_id)
    if agent is not None:
        query = query.eq("agent_type", agent)
    query = query.order("importance", desc=True).order("created_at", desc=True).order("id").limit(PAGE_ROWS)
    return cast("list[Row]", query.execute().data)


def _recall(client: Client, stack_id: str, agent: str | None, text: str) -> list[Row]:
    request = {"v": VERSION, "stack_id": stack_id, "text": text, "agent": agent, "own": agent is not None}
    answer = cast("Row", client.rpc("recall", {"request": request}).execute().data)
    return [item | {"agent_type": item.pop("agent")} for item in answer["items"]]


def _one(client: Client, stack: Row, reference: str) -> Row:
    wanted = reference.strip().lower()
    fitting = [row for row in _fetch(client, stack["id"], None) if wanted and str(row["id"]).startswith(wanted)]
    if len(fitting) != 1:
        found = "no item" if not fitting else f"{len(fitting)} items"
        raise CliError(
            f"{found} of {stack['participant_name']} begins with {reference!r}; `stackbeat memory ls` lists the ids",
            ExitCode.REFUSED,
        )
    return fitting[0]


def _say(row: Row, sentence: str, *, as_json: bool) -> None:
    print_json(row) if as_json else print_line(sentence)
