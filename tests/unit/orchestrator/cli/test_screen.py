"""The screen of `stackbeat watch`: what is on it, and that it fits a terminal of 80 columns and 24 lines."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from orchestrator.cli.screen import Look, changed, dollars, fleet_screen, newest, stack_screen, todo_figures

NOW = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)


def row(name: str = "Owls", **other: Any) -> dict[str, Any]:
    return {
        "id": name,
        "participant_name": name,
        "execution_state": "running",
        "phase": "building",
        "activity": {},
        "wait_reason": "waiting for the next beat",
        "idea": {"title": "A quiz"},
        "done": 3,
        "open": 1,
        "failed": 0,
        "cost_usd": 0.0123,
        "trace": {"at": "2026-11-26T12:00:01+00:00", "agent": "builder", "action": "build", "thought": "built it"},
        **other,
    }


def look(*rows: dict[str, Any], live: bool = True, **other: Any) -> Look:
    return Look(rows=rows, now=NOW, live=live, **other)


def lines(screen: Any, width: int = 80, height: int = 24) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=height, highlight=False).print(screen)
    return out.getvalue().splitlines()


def test_a_stack_is_one_line_with_everything_in_it() -> None:
    shown = lines(fleet_screen(look(row(), row("Boats", execution_state="idle", trace=None)), height=24), width=120)
    assert shown[0].startswith("2 stacks: 1 running, 1 idle  $0.0246  12:00:30 UTC  live")
    assert shown[1].split() == ["STACK", "STATE", "TODO", "COST", "NOW", "NEWEST"]
    assert all(
        word in shown[2] for word in ("Owls", "running", "3/4", "$0.0123", "waiting for", "29s builder: built it")
    )
    assert shown[3].startswith("Boats")


def test_what_agents_do_goes_before_why_the_stack_waits() -> None:
    busy = row(activity={"builder": {"reason": "to build"}})
    assert "builder: to build" in lines(fleet_screen(look(busy), height=24))[2]


@pytest.mark.parametrize("count", [0, 1, 21, 22, 200])
def test_a_fleet_of_any_size_fits_the_terminal(count: int) -> None:
    long = "a very long text that goes on and on, 東京の夜は長い, " * 10
    rows = [row(f"{number:03} {long}"[:80], wait_reason=long) for number in range(count)]
    shown = lines(fleet_screen(look(*rows), height=24))
    assert len(shown) <= 24
    assert all(len(line) <= 80 for line in shown)
    if count > 21:
        assert shown[-1].strip() == f"and {count - 21} more; `stackbeat ls` lists all"


def test_an_empty_fleet_says_what_to_type() -> None:
    assert "`stackbeat create NAME`" in lines(fleet_screen(look(), height=24))[1]


def test_one_stack_fits_too_with_its_newest_trace_last() -> None:
    traces = [
        {
            "created_at": f"2026-11-26T12:00:{n:02}+00:00",
            "agent_type": "builder",
            "action": "build",
            "thought": f"t{n} " * 40,
        }
        for n in range(50)
    ]
    todos = [{"status": "pending", "content": f"todo {n}"} for n in range(30)]
    shown = lines(stack_screen(look(row(), traces=traces, todos=todos), height=24))
    assert len(shown) <= 24
    assert all(len(line) <= 80 for line in shown)
    assert shown[1].startswith("Owls  running  phase building  todos 3/4  $0.0123")
    assert shown[2] == "idea: A quiz"
    assert "[pending] todo 0" in shown
    assert shown[-1].startswith("12:00:49 builder build: t49")
    assert lines(stack_screen(look(), height=24)) == ["the stack is deleted"]


def test_text_of_agents_does_not_drive_the_terminal() -> None:
    evil = row("Owls\x1b[2J", wait_reason="[red]not markup[/red]\x1b]0;title\x07")
    shown = "\n".join(lines(fleet_screen(look(evil), height=24), width=200))
    assert "\x1b" not in shown
    assert "[red]not markup[/red]" in shown


@pytest.mark.parametrize(
    ("cost", "said"), [(0, "$0.0000"), (9.99994, "$9.9999"), (10, "$10.00"), (999.5, "$999.50"), (1234.5, "$1,234")]
)
def test_costs_stay_narrow(cost: float, said: str) -> None:
    assert dollars(cost) == said


def test_figures_and_ages() -> None:
    assert todo_figures(row(failed=1)) == "3/5 1!"
    old = row(trace={"at": "2026-11-26T09:00:00+00:00", "agent": "planner", "action": "planning", "thought": ""})
    assert newest(old, NOW) == "3h planner: planning"
    assert newest(row(trace=None), NOW) == ""


def test_only_what_changed_is_told() -> None:
    known, first = changed({}, [row(), row("Boats")])
    assert [one["id"] for one in first] == ["Owls", "Boats"]
    assert changed(known, [row(), row("Boats")])[1] == []
    known, told = changed(known, [row(cost_usd=1)])
    assert told == [row(cost_usd=1), {"id": "Boats", "participant_name": "Boats", "deleted": True}]
