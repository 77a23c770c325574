"""How far a project is into its time, and how much scope that leaves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from agents.snapshot import Snapshot

PROJECT_LENGTH = timedelta(hours=8)
SCOPE = ((85, "only what already works"), (70, "aggressive cuts"), (50, "moderate cuts"), (0, "full scope"))


def clock(snapshot: Snapshot) -> dict[str, Any]:
    """The clock as prompts show it: minutes since the start, share of its time used, the scope rule."""
    used = percent_used(snapshot)
    elapsed = snapshot.now - (snapshot.stack.started_at or snapshot.stack.created_at)
    return {
        "now": snapshot.now.isoformat(timespec="minutes"),
        "minutes_since_start": max(0, int(elapsed.total_seconds() // 60)),
        "percent_used": used,
        "scope": next(words for least, words in SCOPE if used >= least),
    }


def percent_used(snapshot: Snapshot) -> int:
    """0 to 100: the share of the project's nominal length that has passed since it was started."""
    elapsed = snapshot.now - (snapshot.stack.started_at or snapshot.stack.created_at)
    return min(100, max(0, int(100 * elapsed / PROJECT_LENGTH)))


def scope_changes(snapshot: Snapshot) -> datetime | None:
    """When the rule of scope says something else the next time; None once it has said its last."""
    start = snapshot.stack.started_at or snapshot.stack.created_at
    moments = [start + PROJECT_LENGTH * least / 100 for least, _ in SCOPE]
    return min((at for at in moments if at > snapshot.now), default=None)


def remembered_time(value: object) -> datetime | None:
    """A time an agent wrote into its memory, or None: people can edit memory, so anything may stand there."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo else None


def remembered_count(value: object) -> int:
    """A count out of memory; 0 for anything that is not one."""
    return value if isinstance(value, int) and value >= 0 else 0
