"""Rows as a table, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any


def machine() -> dict[str, Any]:
    """What ran it and how busy that was: load is the number of runnable processes, averaged over a minute."""
    return {"cores": os.cpu_count(), "system": platform.machine(), "load_1m": round(os.getloadavg()[0], 1)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same keys as a Markdown table."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_cell(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return "–" if value is None else str(value)
