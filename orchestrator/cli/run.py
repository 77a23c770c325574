"""run: the daemon alone, against a Supabase that is there already."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import anyio
import click

from orchestrator.cli.daemon import (
    daemon_settings,
    is_simulated,
    metrics_listener,
    metrics_option,
    run_daemon_for_people,
)
from orchestrator.cli.dotenv import environment
from orchestrator.cli.output import json_option, print_line, progress
from orchestrator.cli.ports import Choice
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.welcome import SIMULATED_NOTICE
from orchestrator.config import Config
from orchestrator.facts import Observer
from orchestrator.observers import json_lines

# Never from the current folder, which is not the program's.
PROGRAM = (sys.executable, "-P", "-c", "from orchestrator.cli import main; main(prog_name='stackbeat')")


@click.command("run")
@click.option("--reload", "reloads", is_flag=True, help="Drain and start again when the agents' source changes.")
@click.option("--lifeline", type=int, hidden=True, help="Drain when this file descriptor is closed at its other end.")
@metrics_option
@workdir_option
@json_option
def run(*, reloads: bool, lifeline: int | None, metrics_port: Choice | None, workdir: Path, as_json: bool) -> None:
    """Run the daemon only; several of them share one database. Ctrl-C lets its runs land first."""
    target = resolve(workdir)
    settings = daemon_settings(environment(workdir), workdir, target)
    if reloads:
        _run_reloading(workdir, settings, metrics_port, as_json=as_json)
        return
    with metrics_listener(metrics_port, settings) as metrics:
        if not as_json:
            click.echo(f"daemon {settings.name!r} on {target.url} ({target.found})")
            if is_simulated(settings):
                click.echo(SIMULATED_NOTICE)
        observer = json_lines(sys.stdout) if as_json else progress(sys.stdout)
        run_until_signal(_run, settings, observer, metrics, lifeline)


def _run_reloading(workdir: Path, settings: Config, metrics_port: Choice | None, *, as_json: bool) -> None:
    from orchestrator.cli.reload import keep_running

    port = () if metrics_port is None else ("--metrics-port", str(metrics_port))
    command = [*PROGRAM, "run", "--workdir", str(workdir), *port, *(("--json",) if as_json else ())]

    async def reloading() -> None:
        await keep_running(command, workdir, grace_s=settings.grace_s, say=lambda text: print_line(text, err=True))

    run_until_signal(reloading)


async def _run(settings: Config, observer: Observer, metrics: socket.socket | None, lifeline: int | None) -> None:
    async with anyio.create_task_group() as tasks:
        if lifeline is not None:
            tasks.start_soon(_cancel_when_closed, lifeline, tasks.cancel_scope)
        await run_daemon_for_people(settings, observer, metrics)
        tasks.cancel_scope.cancel()


async def _cancel_when_closed(lifeline: int, scope: anyio.CancelScope) -> None:
    await anyio.wait_readable(lifeline)
    scope.cancel()
