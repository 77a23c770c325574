"""down: stop the `stackbeat up` of this folder."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from orchestrator.cli.errors import CliError
from orchestrator.cli.folder import Folder
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.resolve import workdir_option

TIMEOUT_S = 15


@click.command("down", help="Stop what `stackbeat up` started in this folder.")
@workdir_option
@json_option
def down(workdir: Path, as_json: bool) -> None:
    """Ask the process to end and wait until it has; nothing to stop is fine too."""
    folder = Folder(workdir=workdir)
    running = folder.running()
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        _wait_until_free(folder, running.pid)
    if as_json:
        print_json({"stopped": running is not None, "pid": running.pid if running else None})
    else:
        click.echo(f"stopped (pid {running.pid})" if running else f"nothing runs in {workdir}")


def _wait_until_free(folder: Folder, pid: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while folder.running() is not None:
        if time.monotonic() > deadline:
            raise CliError(f"pid {pid} did not end within {TIMEOUT_S} s; end it with: kill -9 {pid}")
        time.sleep(0.05)
