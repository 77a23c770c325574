"""What a check found: one line, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Only a failure means that something does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report. ``todo`` is empty where nothing is to be done."""

    check: str
    level: Level
    said: str
    todo: str = ""


def ok(check: str, said: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Level.OK, said=said)


def warn(check: str, said: str, todo: str) -> Finding:
    """It works, but not as well as it could, or not for long."""
    return Finding(check=check, level=Level.WARN, said=said, todo=todo)


def fail(check: str, said: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(check=check, level=Level.FAIL, said=said, todo=todo)


def has_failed(findings: Iterable[Finding]) -> bool:
    """True where one of them is a failure."""
    return any(finding.level is Level.FAIL for finding in findings)


def listing(faults: list[str], most: int = 3) -> str:
    """The first few of several things, and how many more there are."""
    more = f", and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more
