"""What measuring stands on: the Supabase that SUPABASE_URL names, else a minibase that is thrown away afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import click

from orchestrator.cli.embedded import discard_data, open_minibase
from orchestrator.cli.packaged import find_packaged
from orchestrator.cli.target import Target, from_environment


@asynccontextmanager
async def open_ground(*, own: bool = False) -> AsyncIterator[tuple[Target, int | None]]:
    """The target, and the process id of a minibase of our own, which ``own`` insists on. Raises CliError."""
    given = None if own else from_environment(os.environ)
    if given is not None:
        yield given, None
        return
    with tempfile.TemporaryDirectory(prefix="stackbeat-bench-") as folder:
        workdir = Path(folder)
        shutil.copytree(find_packaged(), workdir / "supabase")
        (workdir / "supabase" / "seed.sql").write_text("")  # only the stacks of the measurement
        say = partial(click.echo, err=True)
        try:
            async with open_minibase(workdir, api_port="auto", db_port="auto", say=say) as base:
                yield base.target, base.pid
        finally:
            discard_data(workdir)
