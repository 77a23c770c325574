"""What happened, as lines: traces and failed runs. Pure; and the cursor that neither loses nor doubles one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

# Ids and times are given when a transaction begins, rows are seen when it ends: a verb takes at most 8 s.
OVERLAP = timedelta(seconds=20)

Row = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Cursor:
    """How far a table was read. Reading overlaps, so that a row which came late is still found; each is taken once."""

    time_column: str
    newest: datetime | None = None
    _seen: dict[str, datetime] = field(default_factory=dict)

    def since(self) -> str | None:
        """From when on to read again; None for everything."""
        return None if self.newest is None else (self.newest - OVERLAP).isoformat()

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """The rows not taken before, oldest first."""
        fresh = []
        for row in rows:
            at = datetime.fromisoformat(row[self.time_column])
            if str(row["id"]) not in self._seen:
                self._seen[str(row["id"])] = at
                fresh.append(row)
            self.newest = at if self.newest is None else max(at, self.newest)
        if self.newest is not None:
            floor = self.newest - OVERLAP
            self._seen = {key: at for key, at in self._seen.items() if at >= floor}
        return sorted(fresh, key=lambda row: datetime.fromisoformat(row[self.time_column]))


def entry_of_trace(row: Row, name: str) -> dict[str, Any]:
    """A trace as the journal tells it."""
    return {
        "at": row["created_at"],
        "kind": "trace",
        "stack_id": row["stack_id"],
        "stack": name,
        "agent": row["agent_type"],
        "what": row["action"],
        "text": row["thought"],
        "simulated": row["simulated"],
        "run_id": row["run_id"],
    }


def entry_of_run(row: Row, name: str) -> dict[str, Any]:
    """A run that failed or was lost, as the journal tells it."""
    return {
        "at": row["completed_at"],
        "kind": "error",
        "stack_id": row["stack_id"],
        "stack": name,
        "agent": row["agent_type"],
        "what": row["status"],
        "text": row["error"] or row["reason"],
        "simulated": False,
        "run_id": row["id"],
    }


def in_order(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By time, newest last."""
    return sorted(entries, key=lambda entry: datetime.fromisoformat(entry["at"]))


def as_line(entry: Mapping[str, Any]) -> str:
    """One entry in one line."""
    at = datetime.fromisoformat(entry["at"])
    text = " ".join(str(entry["text"] or "").split())
    what = f"{entry['what'].upper()}" if entry["kind"] == "error" else entry["what"]
    return f"{at:%Y-%m-%d %H:%M:%S} {entry['stack']}: {entry['agent']} {what}" + (f": {text}" if text else "")
