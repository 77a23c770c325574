"""init: the two files in which a project is set up, each with everything that can be set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.cli.carried import carried
from orchestrator.cli.dotenv import FILE_NAME as ENV_NAME
from orchestrator.cli.errors import CliError
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.resolve import workdir_option
from orchestrator.config import FILE_NAME as SETTINGS_NAME

# What is written -> what it is a copy of, and who may read it: the one holds secrets, the other does not.
FILES: Mapping[str, tuple[str, int]] = {
    ENV_NAME: (".env.example", 0o600),
    SETTINGS_NAME: ("stackbeat.example.toml", 0o644),
}
NEXT = (
    "next: put the address and keys of your Supabase into .env, or nothing for one of its own with a simulated model;\n"
    "      then `stackbeat up` starts everything, and `stackbeat doctor` says what is missing"
)


@click.command("init", help="Write .env and stackbeat.toml, with every setting and its default. Overwrites nothing.")
@workdir_option
@json_option
def init(workdir: Path, as_json: bool) -> None:
    """Copy what is not there yet; say what was written, what was kept and what to type next."""
    written = [name for name, (source, mode) in FILES.items() if _write_new(workdir / name, carried(source), mode)]
    kept = [name for name in FILES if name not in written]
    if as_json:
        print_json({"workdir": str(workdir), "written": written, "kept": kept})
        return
    for name in written:
        print_line(f"wrote {workdir / name}" + (" (only you can read it)" if FILES[name][1] == 0o600 else ""))
    for name in kept:
        print_line(f"kept {workdir / name}: it was there already")
    print_line(NEXT)


def _write_new(path: Path, source: Path, mode: int) -> bool:
    text = source.read_bytes()
    try:
        # In one step with its rights, and only if there is none: never for a moment readable, never in another's place.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}; choose another --workdir") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return True
