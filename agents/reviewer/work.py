"""When the reviewer has something to review: a version it has not seen, and nothing else."""

from __future__ import annotations

from datetime import datetime

from agents.review import is_reviewed
from agents.snapshot import Snapshot
from agents.work import NOTHING, Agenda, Work


def find_work(snapshot: Snapshot, now: datetime) -> Agenda:
    """The newest version, once; the time plays no part."""
    artifact = snapshot.artifact
    if snapshot.stack.phase == "complete" or artifact is None or is_reviewed(snapshot):
        return NOTHING
    reason = f"version {artifact.version} has not been reviewed"
    work = Work(agent="reviewer", priority=6, reason=reason, key=f"review:v{artifact.version}", at=artifact.created_at)
    return Agenda(work=(work,))
