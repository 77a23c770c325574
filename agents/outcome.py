"""What a reply means: the trace people see and the changes the database applies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.changes import Change

THOUGHT_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``thought``, ``action``, ``result`` are the public trace; ``context`` replaces the agent's own, None keeps it."""

    thought: str
    action: str
    result: dict[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    context: dict[str, Any] | None = None


class ReplyRejected(Exception):  # noqa: N818 - it is a verdict on a reply, the word the run's failure is told in
    """The reply has the right shape but must not land: the run fails and its item counts an attempt.

    ``reason`` is a sentence for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def shortened(thought: str) -> str:
    """The thought as the trace can hold it."""
    return thought if len(thought) <= THOUGHT_LIMIT else thought[: THOUGHT_LIMIT - 1] + "…"


def recent(context: dict[str, Any], thought: str, task: str) -> dict[str, Any]:
    """The agent's short-term context after this turn: its task and its last ten thoughts."""
    earlier = context.get("recent_thoughts")
    kept = [str(item)[:300] for item in earlier] if isinstance(earlier, list) else []
    return {"active_task": task, "recent_thoughts": [*kept, thought[:300]][-10:]}
