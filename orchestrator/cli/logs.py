"""logs: what happened, from the tables; with -f also what happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import click

from orchestrator.cli.choose import choose
from orchestrator.cli.door import connect
from orchestrator.cli.journal import Cursor, as_line, entry_of_run, entry_of_trace, in_order
from orchestrator.cli.live import Bell, Reader, listen
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import PAGE_ROWS, fetch_stacks
from orchestrator.cli.target import Target
from orchestrator.terminal import printable

if TYPE_CHECKING:
    from supabase import Client

Entry = dict[str, Any]
TRACE_COLUMNS = "id,stack_id,agent_type,thought,action,simulated,run_id,created_at"
RUN_COLUMNS = "id,stack_id,agent_type,status,reason,error,completed_at"
BAD_ENDS = ("failed", "abandoned")


@click.command("logs", help="Show what happened, newest last: traces, and runs that failed.")
@click.argument("stack", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "--lines", "-n", default=50, show_default=True, type=click.IntRange(0, 1000), help="How many to begin with."
)
@workdir_option
@json_option
def logs(*, stack: str | None, follow: bool, lines: int, workdir: Path, as_json: bool) -> None:
    """Print the newest entries; with --follow print each further one once, whatever happens to the connection."""
    target = resolve(workdir)
    with connect(target) as client:
        chosen = choose(fetch_stacks(client), stack)["id"] if stack else None
        journal = _Journal(target=target, stack_id=chosen)
        begun = journal.begin(client, lines)
    if as_json and not follow:
        print_json(begun)
        return
    _print(begun, as_json=as_json)
    if follow:
        run_until_signal(_follow, journal, as_json)


async def _follow(journal: _Journal, as_json: bool) -> None:
    bell, reader = Bell(), Reader()
    wanted = f"stack_id=eq.{journal.stack_id}" if journal.stack_id else None
    async with anyio.create_task_group() as tasks:

        async def listening() -> None:
            await listen(journal.target, bell, topic="stackbeat-logs", tables=("agent_traces",), filter=wanted)

        tasks.start_soon(listening)
        async for _ in bell.rounds():
            _print(await reader.read(journal.read_on), as_json=as_json)


@dataclass(slots=True, kw_only=True)
class _Journal:
    """The two tables of what happened, read on from where they were read."""

    target: Target
    stack_id: str | None
    names: dict[str, str] = field(default_factory=dict)
    traces: Cursor = field(default_factory=lambda: Cursor(time_column="created_at"))
    runs: Cursor = field(default_factory=lambda: Cursor(time_column="completed_at"))

    def begin(self, client: Client, lines: int) -> list[Entry]:
        """The newest `lines` entries, oldest first; from here on `read_on` goes on."""
        newest = {
            cursor.time_column: self._query(client, cursor).order(cursor.time_column, desc=True).limit(max(lines, 1))
            for cursor in (self.traces, self.runs)
        }
        found = {column: cast("list[Entry]", query.execute().data) for column, query in newest.items()}
        entries = self._entries(client, found["created_at"], found["completed_at"])
        for cursor in (self.traces, self.runs):
            cursor.take(found[cursor.time_column])
            cursor.take(self._rows_since(client, cursor))  # what the overlap holds is history too
        return entries[len(entries) - lines :] if lines < len(entries) else entries

    def read_on(self) -> list[Entry]:
        """What has come since. Nothing is marked as read unless everything was."""
        with connect(self.target) as client:
            traces, runs = (self._rows_since(client, cursor) for cursor in (self.traces, self.runs))
            self._learn_names(client, [*traces, *runs])
        return self._entries(None, self.traces.take(traces), self.runs.take(runs))

    def _query(self, client: Client, cursor: Cursor) -> Any:
        if cursor is self.traces:
            query = client.table("agent_traces").select(TRACE_COLUMNS)
        else:
            query = client.table("agent_executions").select(RUN_COLUMNS).in_("status", BAD_ENDS)
        return query.eq("stack_id", self.stack_id) if self.stack_id else query

    def _rows_since(self, client: Client, cursor: Cursor) -> list[Entry]:
        rows: list[Entry] = []
        while True:
            query = self._query(client, cursor).order(cursor.time_column).order("id")
            if since := cursor.since():
                query = query.gte(cursor.time_column, since)
            page = cast("list[Entry]", query.range(len(rows), len(rows) + PAGE_ROWS - 1).execute().data)
            rows += page
            if len(page) < PAGE_ROWS:
                return rows

    def _learn_names(self, client: Client, rows: list[Entry]) -> None:
        if any(row["stack_id"] not in self.names for row in rows):
            self.names = {row["id"]: row["participant_name"] for row in fetch_stacks(client)}

    def _entries(self, client: Client | None, traces: Any, runs: Any) -> list[Entry]:
        if client is not None:
            self._learn_names(client, [*traces, *runs])
        return in_order(
            [entry_of_trace(row, self._name(row)) for row in traces]
            + [entry_of_run(row, self._name(row)) for row in runs]
        )

    def _name(self, row: Mapping[str, Any]) -> str:
        return self.names.get(row["stack_id"], str(row["stack_id"])[:8])


def _print(entries: list[Entry], *, as_json: bool) -> None:
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for entry in entries:
        if as_json:
            print_json(entry)
            continue
        line = printable(as_line(entry))
        click.echo(click.style(line, fg="red") if coloured and entry["kind"] == "error" else line)
