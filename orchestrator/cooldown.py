"""How long an agent rests after failures that no work item counts (a todo or message has its own attempts).

In memory on purpose: a daemon that takes the stack over may try once more, and the wait shows in the stack's status.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from uuid import UUID

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=5)
REMEMBERED = 10_000


class Cooldowns:
    """The newest failures by (stack, agent), bounded."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[UUID, str], tuple[int, datetime]] = OrderedDict()

    def failed(self, stack_id: UUID, agent: str, now: datetime) -> timedelta:
        """Note one more failure; returns the wait until the next try."""
        failures = self._entries.pop((stack_id, agent), (0, now))[0] + 1
        wait = min(LONGEST, FIRST * (1 << min(failures - 1, 10)))
        self._entries[stack_id, agent] = (failures, now + wait)
        if len(self._entries) > REMEMBERED:
            self._entries.popitem(last=False)
        return wait

    def succeeded(self, stack_id: UUID, agent: str) -> None:
        self._entries.pop((stack_id, agent), None)

    def until(self, stack_id: UUID, agent: str) -> datetime | None:
        entry = self._entries.get((stack_id, agent))
        return None if entry is None else entry[1]
