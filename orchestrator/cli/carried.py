"""Files that come with the program: inside the wheel, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.errors import CliError

_PACKAGE = Path(__file__).resolve().parents[1]


def carried(name: str) -> Path:
    """The file or folder of this name. Raises CliError where the installation lacks it."""
    places = (_PACKAGE / "data" / name, _PACKAGE.parent / name)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise CliError(f"{name} is not installed with the program; install Stackbeat again")
    return found
