"""What `minibase start` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass

AUTO = "auto"

PortChoice = int | str | None
"""A port, `auto`, or None for the configured one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """One start's choices; the project's own are in `Config`."""

    api_port: PortChoice = None
    db_port: PortChoice = None
    pg_bin: str | None = None
    lifeline: int | None = None
    """A pipe's read end whose other end the parent holds: when it ends, so does minibase."""
