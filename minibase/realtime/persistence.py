"""Broadcasts that a client asks to be kept, so that whoever joins later can have them replayed.

Source: realtime-js 2.119, `persist` of `send` and `httpSend`: true, or `{ttl: seconds}`; private channels only.
Policies on `realtime.messages` decide it as extension `persistence`, beside the right to broadcast.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEPT_SECONDS = 3 * 24 * 3600  # as long as the partitions of realtime.messages stand
KEPT_ECHOES = 10_000

NOT_PRIVATE = "persist_needs_a_private_channel"
NOT_VALID = "persist_is_neither_true_nor_a_ttl_in_seconds"
NOT_ALLOWED = "persist_is_not_allowed_by_any_policy"
FAILED = "persist_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Keep it, for so many seconds. `problem` is why it cannot be kept: it is broadcast all the same."""

    seconds: int = KEPT_SECONDS
    problem: str | None = None


def parse(value: Any, *, private: bool) -> Persist | None:
    """What a client wants kept; None where it wants nothing kept."""
    if value is None or value is False:
        return None
    ttl = value.get("ttl", KEPT_SECONDS) if isinstance(value, Mapping) else KEPT_SECONDS if value is True else None
    if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl < 1:
        return Persist(problem=NOT_VALID)
    return Persist(seconds=min(ttl, KEPT_SECONDS), problem=None if private else NOT_PRIVATE)


class Echoes:
    """Broadcasts said before they were stored: the log brings each once more, and it must not be said again."""

    def __init__(self) -> None:
        self._expected: OrderedDict[str, None] = OrderedDict()

    def expect(self, message_id: str) -> None:
        self._expected[message_id] = None
        if len(self._expected) > KEPT_ECHOES:
            self._expected.popitem(last=False)

    def is_one(self, message_id: str) -> bool:
        """Whether it was said already; asked once."""
        return self._expected.pop(message_id, self) is None
