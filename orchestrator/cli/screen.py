"""The fleet as a screen: pure, from rows to what rich prints. Made for 80 columns and 24 lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.look import describe_activity
from orchestrator.terminal import printable

STATE_STYLES: Mapping[str, str] = {"running": "green", "paused": "yellow", "stopped": "red", "idle": "dim"}
_ORDER = {"running": 0, "paused": 1, "stopped": 2, "idle": 3}
# Title, heading and the line about what does not fit.
_FRAME_LINES = 3

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen at one moment: the stacks with their figures, and how the next change will be heard."""

    rows: Sequence[Row]
    now: datetime
    live: bool
    recovered: int = 0
    traces: Sequence[Row] = ()
    todos: Sequence[Row] = ()


def fleet_screen(look: Look, *, height: int) -> RenderableType:
    """One line a stack, the running ones first, as many as fit."""
    rows = sorted(
        look.rows, key=lambda row: (_ORDER.get(row["execution_state"], 9), row["participant_name"].casefold())
    )
    fitting = rows[: max(1, height - _FRAME_LINES)]
    table = Table(box=None, pad_edge=False, expand=True, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("STACK", max_width=16, no_wrap=True, overflow="ellipsis")
    table.add_column("STATE", width=7, no_wrap=True)
    table.add_column("TODO", width=7, no_wrap=True, justify="right")
    table.add_column("COST", width=8, no_wrap=True, justify="right")
    table.add_column("NOW", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("NEWEST", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in fitting:
        state = row["execution_state"]
        table.add_row(
            _text(row["participant_name"]),
            Text(state, style=STATE_STYLES.get(state, "")),
            todo_figures(row),
            dollars(row["cost_usd"]),
            _text(describe_activity(row)),
            _text(newest(row, look.now)),
        )
    left = (
        [Text(f"and {len(rows) - len(fitting)} more; `stackbeat ls` lists all", style="dim")]
        if rows[len(fitting) :]
        else []
    )
    body = [table] if rows else [Text("no stacks yet; make one with `stackbeat create NAME`", style="dim")]
    return Group(_title(look), *body, *left)


def stack_screen(look: Look, *, height: int) -> RenderableType:
    """One stack: what it does, its open todos, its newest traces; the newest last, as many as fit."""
    if not look.rows:
        return Text("the stack is deleted", style="red")
    row = look.rows[0]
    idea = (row.get("idea") or {}).get("title") or "no idea yet"
    head = [
        _title(look),
        Text.assemble(
            (printable(row["participant_name"]), "bold"),
            "  ",
            (row["execution_state"], STATE_STYLES.get(row["execution_state"], "")),
            f"  phase {row['phase']}  todos {todo_figures(row)}  {dollars(row['cost_usd'])}",
        ),
        _text(f"idea: {idea}"),
        _text(f"now:  {describe_activity(row)}"),
        Text(""),
    ]
    room = max(2, height - len(head) - 1)
    todos = [_text(f"[{todo['status']}] {todo['content']}") for todo in look.todos][: room // 3]
    traces = [_text(_trace_line(trace)) for trace in look.traces][-(room - len(todos)) :]
    lines = [*head, *todos, *([Text("")] if todos and traces else []), *traces]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def todo_figures(row: Row) -> str:
    """Done of all, and how many failed: ``3/5``, ``3/5 1!``."""
    failed = f" {row['failed']}!" if row["failed"] else ""
    return f"{row['done']}/{row['done'] + row['open'] + row['failed']}{failed}"


def dollars(cost: float) -> str:
    """A cost in at most eight characters."""
    return f"${cost:.4f}" if cost < 10 else f"${cost:,.2f}" if cost < 1_000 else f"${cost:,.0f}"


def newest(row: Row, now: datetime) -> str:
    """The newest trace with its age."""
    trace = row.get("trace")
    if not trace:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(trace["at"])).total_seconds()))
    age = f"{seconds}s" if seconds < 100 else f"{seconds // 60}m" if seconds < 6_000 else f"{seconds // 3_600}h"
    return f"{age} {trace['agent']}: {trace['thought'] or trace['action']}"


def changed(before: Mapping[str, Row], rows: Iterable[Row]) -> tuple[dict[str, Row], list[dict[str, Any]]]:
    """The rows by id, and one object for each that is new, other than before, or gone."""
    after = {row["id"]: row for row in rows}
    changes: list[dict[str, Any]] = [dict(row) for key, row in after.items() if before.get(key) != row]
    changes += [
        {"id": key, "participant_name": row["participant_name"], "deleted": True}
        for key, row in before.items()
        if key not in after
    ]
    return after, changes


def _title(look: Look) -> Text:
    states = [row["execution_state"] for row in look.rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _ORDER if state in states)
    cost = dollars(sum(row["cost_usd"] for row in look.rows))
    heard = ("live", "green") if look.live else ("every 5 s", "yellow")
    recovered = f"  recovered {look.recovered}" if look.recovered else ""
    stacks = f"{len(states)} stack" + ("" if len(states) == 1 else "s")
    return Text.assemble(
        (f"{stacks}: {counts or 'none'}", "bold"), f"  {cost}  {look.now:%H:%M:%S} UTC  ", heard, recovered
    )


def _trace_line(trace: Row) -> str:
    at = datetime.fromisoformat(trace["created_at"])
    return f"{at:%H:%M:%S} {trace['agent_type']} {trace['action']}: {trace['thought']}"


def _text(value: str) -> Text:
    return Text(printable(" ".join(value.split())))
