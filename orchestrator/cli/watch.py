"""watch: the fleet, or one stack, live in a terminal; a change a line for programs; one look in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.cli.choose import choose
from orchestrator.cli.door import connect
from orchestrator.cli.live import Bell, Reader, listen
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.screen import Look, changed, fleet_screen, stack_screen
from orchestrator.cli.tables import FLEET, fetch_fleet, fetch_stacks, fetch_todos, fetch_traces, fleet_rows
from orchestrator.cli.target import Target
from orchestrator.live_query import Fetched, LiveQuery
from orchestrator.terminal import printable

# Beside the tables that are followed row by row: what rings for the figures, the todos and the traces.
COUNTED = ("todos", "agent_traces")
TABLES = (*(source.table for source in FLEET), *COUNTED)
TRACES = 50
# A change is a hint: where a server drops one without a word, the tables are looked at all the same.
FETCH_AGAIN_S = 30.0
# In a pipe nothing is cut off, for nobody sees where.
PIPE_WIDTH, PIPE_HEIGHT = 160, 1_000_000


class Draw(Protocol):
    """Makes a screen of so many lines."""

    def __call__(self, look: Look, *, height: int) -> RenderableType: ...


@click.command("watch", help="Watch the fleet live, or one stack; Ctrl-C ends it. In a pipe: one look.")
@click.argument("stack", required=False)
@workdir_option
@json_option
def watch(stack: str | None, workdir: Path, as_json: bool) -> None:
    """Draw the fleet anew with every change; with --json print one object for each stack that changed."""
    target = resolve(workdir)
    with connect(target) as client:
        chosen = choose(fetch_stacks(client), stack)["id"] if stack else None
    fleet = _Fleet(target=target, stack_id=chosen)
    draw = stack_screen if chosen else fleet_screen
    if as_json:
        run_until_signal(_print_changes, fleet)
    elif sys.stdout.isatty():
        run_until_signal(_draw, fleet, draw)
    else:
        fleet.query.answer(fleet.fetch(fleet.query.ask()))
        look = fleet.look(fleet_rows(fleet.query), live=False)
        Console(width=PIPE_WIDTH, no_color=True, highlight=False).print(draw(look, height=PIPE_HEIGHT))


@dataclass(slots=True, kw_only=True)
class _Fleet:
    """Reads what there is to see; costs are added up from where the last look stopped."""

    target: Target
    stack_id: str | None
    query: LiveQuery = field(default_factory=lambda: LiveQuery(FLEET))
    calls_after: str | None = None
    costs: dict[str, float] = field(default_factory=dict)

    def fetch(self, since: Mapping[str, datetime | None]) -> dict[str, Fetched]:
        """What the live query misses."""
        with connect(self.target) as client:
            return fetch_fleet(client, since)

    def look(self, stacks: Sequence[dict[str, Any]], *, live: bool) -> Look:
        """What is to be seen now of these stacks."""
        with connect(self.target) as client:
            rows = [row for row in stacks if self.stack_id in {None, row["id"]}]
            request = {"stack_id": self.stack_id, "calls_after": self.calls_after}
            told = cast("dict[str, Any]", client.rpc("figures", {"request": request}).execute().data)
            traces = fetch_traces(client, self.stack_id, TRACES) if self.stack_id else []
            todos = fetch_todos(client, self.stack_id) if self.stack_id else []
        figures: Mapping[str, Mapping[str, Any]] = told["stacks"]
        self.costs = {key: self.costs.get(key, 0.0) + float(one["cost_usd"]) for key, one in figures.items()}
        self.calls_after = told["until"]
        return Look(
            rows=[self._with_figures(row, figures[row["id"]]) for row in rows if row["id"] in figures],
            now=datetime.fromisoformat(told["now"]),
            live=live,
            recovered=self.query.recovered,
            traces=traces[::-1],
            todos=[todo for todo in todos if todo["status"] != "completed"],
        )

    def _with_figures(self, row: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: figures[name] for name in ("done", "open", "failed", "trace")}
        cost = self.costs[row["id"]] + float(figures["cost_usd_recent"])
        return {**row, **shown, "cost_usd": round(cost, 8)}


async def _looks(fleet: _Fleet, reader: Reader, show: Callable[[Look], None]) -> None:
    """Show every look, for ever: one at once, one for each change or tick."""
    bell, query, fetched = Bell(), fleet.query, 0.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(listen, fleet.target, bell, topic="stackbeat-watch", tables=TABLES, query=query))
        async for _ in bell.rounds():
            if query.stale or not bell.connected or anyio.current_time() > fetched + FETCH_AGAIN_S:
                query.answer(await reader.read(partial(fleet.fetch, query.ask())))
                fetched = anyio.current_time()
            show(await reader.read(partial(fleet.look, fleet_rows(query), live=bell.connected)))


async def _print_changes(fleet: _Fleet) -> None:
    known: dict[str, Mapping[str, Any]] = {}

    def show(look: Look) -> None:
        nonlocal known
        known, changes = changed(known, look.rows)
        for change in changes:
            print_json(change)

    await _looks(fleet, Reader(), show)


async def _draw(fleet: _Fleet, draw: Draw) -> None:
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(look: Look) -> None:
            live.update(draw(look, height=console.height), refresh=True)

        def tell(text: str) -> None:
            live.update(Text(printable(text), style="yellow"), refresh=True)

        await _looks(fleet, Reader(tell), show)
