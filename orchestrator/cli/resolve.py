"""Finding the Supabase of a folder: the environment, a running `stackbeat up`, a running minibase."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.dotenv import environment
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.folder import Folder
from orchestrator.cli.target import Target, from_environment, from_status

STATUS_TIMEOUT_S = 20

workdir_option: Callable[[Any], Any] = click.option(
    "--workdir",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=".",
    help="The project's folder, the one that holds supabase/ (default: here).",
)


def resolve(workdir: Path) -> Target:
    """The Supabase that commands in this folder talk to.

    SUPABASE_URL with its key if set, in the environment or in `.env`, else the `stackbeat up` that runs here, else the
    minibase that runs here.
    Raises CliError where there is none, or where the settings are malformed.
    """
    target = from_environment(environment(workdir)) or _target_of_up(workdir) or target_of_minibase(workdir)
    if target is None:
        raise CliError(
            f"no Supabase found: nothing runs in {workdir} and SUPABASE_URL is not set; "
            "start one with `stackbeat up`, or set SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY",
            ExitCode.NO_SUPABASE,
        )
    return target


def target_of_minibase(workdir: Path) -> Target | None:
    """The minibase that runs in this folder, or None."""
    status = minibase_status(workdir)
    return from_status(status, "minibase runs in this folder") if status else None


def minibase_command(*arguments: str | Path) -> list[str]:
    """The command line that runs minibase with this process's own Python, installed on PATH or not."""
    return [sys.executable, "-m", "minibase.cli", *map(str, arguments)]


def minibase_status(workdir: Path) -> dict[str, str] | None:
    """What `minibase status -o json` says of this folder, or None where none runs."""
    if not (workdir / ".minibase").is_dir():
        return None  # never started here: no need to ask
    command = minibase_command("status", "-o", "json", "--workdir", workdir)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STATUS_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise CliError(
            f"`minibase status` did not answer within {STATUS_TIMEOUT_S} s in {workdir}", ExitCode.NO_SUPABASE
        ) from error
    if done.returncode != 0:
        return None
    try:
        status = json.loads(done.stdout)
    except ValueError as error:
        raise CliError(f"`minibase status -o json` printed what is not JSON: {done.stdout[:80]!r}") from error
    return {str(name): str(value) for name, value in status.items()}


def _target_of_up(workdir: Path) -> Target | None:
    running = Folder(workdir=workdir).running()
    if running is None:
        return None
    if running.service_key is None:
        raise CliError(
            f"`stackbeat up` runs here against {running.api_url}, whose key it does not keep on disk; "
            "set SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY",
            ExitCode.NO_SUPABASE,
        )
    return Target(
        url=running.api_url,
        service_key=running.service_key,
        publishable_key=running.publishable_key,
        found="`stackbeat up` runs in this folder",
        db_url=running.db_url,
    )
