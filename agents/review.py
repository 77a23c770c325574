"""What the reviewer found out about the newest artifact, as the other agents read it from its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.clock import remembered_count
from agents.snapshot import Snapshot

MAX_ISSUES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """``version`` is the last reviewed one (0 = none yet); issues are plain objects with id, severity and text."""

    version: int
    issues: tuple[dict[str, Any], ...]

    @property
    def critical(self) -> bool:
        return any(issue.get("severity") == "critical" for issue in self.issues)


def last_review(snapshot: Snapshot) -> Review:
    memory = snapshot.agent("reviewer").memory
    issues = memory.get("open_issues")
    kept = [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    return Review(version=remembered_count(memory.get("last_reviewed_version")), issues=tuple(kept[:MAX_ISSUES]))


def is_reviewed(snapshot: Snapshot) -> bool:
    """Whether there is an artifact and its newest version has been reviewed; nobody waits for an absent reviewer."""
    if snapshot.artifact is None:
        return False
    return "reviewer" in snapshot.absent or last_review(snapshot).version >= snapshot.artifact.version
