"""run: the daemon alone, against a Supabase that is there already."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchestrator.cli.daemon import daemon_settings, is_simulated, run_daemon_for_people
from orchestrator.cli.output import json_option, progress
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.welcome import SIMULATED_NOTICE
from orchestrator.observers import json_lines


@click.command("run")
@workdir_option
@json_option
def run(workdir: Path, as_json: bool) -> None:
    """Run the daemon only; several of them share one database. Ctrl-C lets its runs land first."""
    target = resolve(workdir)
    settings = daemon_settings(os.environ, workdir, target)
    if as_json:
        run_until_signal(run_daemon_for_people, settings, json_lines(sys.stdout))
        return
    click.echo(f"daemon {settings.name!r} on {target.url} ({target.found})")
    if is_simulated(settings):
        click.echo(SIMULATED_NOTICE)
    run_until_signal(run_daemon_for_people, settings, progress(sys.stdout))
