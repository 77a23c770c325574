"""The file `.env` of a project: addresses and keys that need not be typed into every shell."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.cli.errors import CliError, ExitCode

FILE_NAME = ".env"

# NAME=value, NAME="value" or NAME='value', with or without `export`. A comment behind a value needs a blank before it.
_LINE = re.compile(
    r"""(?:export\s+)? (?P<name>[A-Za-z_][A-Za-z0-9_]*) \s*=\s*
        (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<bare>[^"'\s#][^\s]*)? ) \s* (?:(?<=\s)\#.*)?""",
    re.VERBOSE,
)


def environment(workdir: Path) -> Mapping[str, str]:
    """The process's environment over the `.env` of `workdir`: what the shell says wins.

    Raises CliError for a line that is none, and for a file that cannot be read.
    """
    path = workdir / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return os.environ
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", ExitCode.USAGE) from error
    except UnicodeDecodeError as error:
        raise CliError(f"{path} is not UTF-8 text; save it as UTF-8", ExitCode.USAGE) from error
    return {**parse(text, path), **os.environ}


def parse(text: str, path: Path) -> dict[str, str]:
    """Names and values of a file's lines. Raises CliError with `path` and line, never with a value: it may be a key."""
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            said = f'{path}, line {number}: write NAME=value, or NAME="value" where there are blanks in it'
            raise CliError(said, ExitCode.USAGE)
        values[found["name"]] = found["double"] or found["single"] or found["bare"] or ""
    return values
