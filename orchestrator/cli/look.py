"""ls and show: what the stacks are, what they do now, why they wait."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.choose import choose
from orchestrator.cli.door import connect
from orchestrator.cli.output import Column, json_option, print_json, print_rows, print_table
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import fetch_artifacts, fetch_stacks, fetch_todos, fetch_traces
from orchestrator.terminal import printable


def describe_activity(row: Mapping[str, Any]) -> str:
    """What a stack's agents do now, else why it waits, else nothing."""
    activity: Mapping[str, Mapping[str, Any]] = row.get("activity") or {}
    if activity:
        return "; ".join(f"{agent}: {doing.get('reason', 'at work')}" for agent, doing in sorted(activity.items()))
    return str(row.get("wait_reason") or "")


def _idea_title(row: Mapping[str, Any]) -> str:
    return str((row.get("idea") or {}).get("title") or "")


STACK_COLUMNS = (
    Column(title="NAME", value="participant_name"),
    Column(title="STATE", value="execution_state"),
    Column(title="PHASE", value="phase"),
    Column(title="IDEA", value=_idea_title),
    Column(title="NOW", value=describe_activity),
    Column(title="ID", value="id"),
)


@click.command("ls", help="List the stacks: state, phase, idea, what they do now or why they wait.")
@workdir_option
@json_option
def ls(workdir: Path, as_json: bool) -> None:
    """Print every stack."""
    with connect(resolve(workdir)) as client:
        rows = fetch_stacks(client)
    print_rows(rows, STACK_COLUMNS, as_json=as_json, empty="no stacks yet; make one with `stackbeat create NAME`")


@click.command("show", help="Show one stack: idea, todos, artifact versions, newest traces.")
@click.argument("stack")
@click.option("--traces", default=10, show_default=True, type=click.IntRange(0, 1000), help="How many traces.")
@workdir_option
@json_option
def show(stack: str, traces: int, workdir: Path, as_json: bool) -> None:
    """Print one stack with what belongs to it."""
    with connect(resolve(workdir)) as client:
        row = choose(fetch_stacks(client), stack)
        found = {
            **row,
            "todos": fetch_todos(client, row["id"]),
            "artifacts": fetch_artifacts(client, row["id"]),
            "traces": fetch_traces(client, row["id"], traces),
        }
    if as_json:
        print_json(found)
    else:
        _print_stack(found)


def _print_stack(found: Mapping[str, Any]) -> None:
    idea = found["idea"] or {}
    facts = {
        "name": found["participant_name"],
        "id": found["id"],
        "state": f"{found['execution_state']}, phase {found['phase']}, priority {found['priority']}",
        "now": describe_activity(found),
        "idea": ": ".join(part for part in (idea.get("title"), idea.get("description")) if part),
    }
    for title, value in facts.items():
        if value:
            click.echo(f"{title + ':':8}{printable(str(value))}")
    sections = (
        ("todos", (_column("status"), _column("priority"), _column("content"), _column("last_error"))),
        ("artifacts", (_column("version"), _column("size_bytes"), _column("created_at"), _DESCRIPTION)),
        ("traces", (_column("created_at"), _column("agent_type"), _column("action"), _column("thought"))),
    )
    for title, columns in sections:
        if found[title]:
            click.echo(f"\n{title}")
            print_table(found[title], columns)


def _column(key: str) -> Column:
    return Column(title=key.upper(), value=key)


_DESCRIPTION = Column(title="DESCRIPTION", value=lambda row: (row.get("metadata") or {}).get("description"))
