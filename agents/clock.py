"""How far a project is into its time, and how much scope that leaves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from agents.snapshot import Snapshot

PROJECT_LENGTH = timedelta(hours=8)
MARGIN = 1.5  # time left below this many times the work left means to cut
SCOPE = ((85, "only what already works"), (70, "aggressive cuts"), (50, "moderate cuts"), (0, "full scope"))


def clock(snapshot: Snapshot) -> dict[str, Any]:
    """The clock as prompts show it: time since the start and until the deadline, the work left, the scope rule."""
    used = percent_used(snapshot)
    elapsed = snapshot.now - (snapshot.stack.started_at or snapshot.stack.created_at)
    left, work = max(timedelta(0), PROJECT_LENGTH - elapsed), work_left(snapshot)
    return {
        "now": snapshot.now.isoformat(timespec="minutes"),
        "deadline": (snapshot.now + left).isoformat(timespec="minutes"),
        "minutes_since_start": _minutes(elapsed),
        "minutes_left": _minutes(left),
        "minutes_of_work_left": None if work is None else _minutes(work),
        "cut_scope": work is not None and left < MARGIN * work,
        "percent_used": used,
        "scope": next(words for least, words in SCOPE if used >= least),
    }


def work_left(snapshot: Snapshot) -> timedelta | None:
    """How long the open todos take at the pace of those done so far; None before the first is done."""
    counts = snapshot.todo_counts
    if not counts.completed:
        return None
    elapsed = snapshot.now - (snapshot.stack.started_at or snapshot.stack.created_at)
    return max(timedelta(0), elapsed) / counts.completed * counts.open


def _minutes(span: timedelta) -> int:
    return max(0, int(span.total_seconds() // 60))


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
