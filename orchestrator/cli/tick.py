"""tick: one cycle of one stack by hand, through the daemon's own path."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from orchestrator.cli.choose import choose
from orchestrator.cli.daemon import daemon_settings, told_to_people
from orchestrator.cli.door import connect
from orchestrator.cli.dotenv import environment
from orchestrator.cli.output import json_option, print_json, print_line, progress
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import fetch_stacks
from orchestrator.config import Config

if TYPE_CHECKING:
    from orchestrator.cycle import CycleReport


@click.command("tick")
@click.argument("stack")
@workdir_option
@json_option
def tick(*, stack: str, workdir: Path, as_json: bool) -> None:
    """Run one cycle of one stack now, whatever its state."""
    target = resolve(workdir)
    settings = daemon_settings(environment(workdir), workdir, target)
    with connect(target) as client:
        row = choose(fetch_stacks(client), stack)
    report = anyio.run(_tick, settings, row["id"])
    values = _as_values(report)
    if as_json:
        print_json(values)
    elif not report.runs:
        print_line(f"{row['participant_name']}: nothing to do ({values['wait_reason'] or 'no work'})")


async def _tick(settings: Config, stack_id: str) -> CycleReport:
    from orchestrator.daemon import tick as tick_stack

    with told_to_people():
        return await tick_stack(stack_id, config=settings, observer=progress(sys.stderr))


def _as_values(report: CycleReport) -> dict[str, Any]:
    return {
        "stack_id": str(report.stack_id),
        "runs": [
            {
                "run_id": str(run.run_id),
                "agent": run.agent,
                "status": run.status,
                "error": run.error,
                "trace": run.trace,
            }
            for run in report.runs
        ],
        "refusals": list(report.refusals),
        "wait_reason": report.due.reason,
    }
