"""What clients may do, and how it is counted. Rates and the number of sockets are unlimited unless configured."""

from __future__ import annotations

from dataclasses import dataclass

EVENT_WINDOW_S = 60.0
JOIN_WINDOW_S = 1.0
PRESENCE_WINDOW_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """0 is no limit. What one socket may have and send is limited as by a self-hosted Realtime.

    `presence_calls` are those of one channel in each window. A socket that is silent for `silence_s`, or has no channel
    for `alone_s`, is closed.
    """

    channels: int = 100
    broadcast_bytes: int = 3_000_000
    frame_bytes: int = 5_000_000
    users: int = 0
    joins_per_second: int = 0
    events_per_second: int = 0
    presence_per_second: int = 0
    presence_calls: int = 0
    presence_window_s: float = PRESENCE_WINDOW_S
    silence_s: float = 60.0
    alone_s: float = 600.0
    private_only: bool = False


class Rate:
    """So many a second on average over a window, all sockets together: a burst may use up what the window holds."""

    def __init__(self, per_second: int, window_s: float) -> None:
        self._per_second = per_second
        self._room = per_second * window_s
        self._left = self._room
        self._at: float | None = None

    def allows(self, now: float, count: int = 1) -> bool:
        """Whether one more may be, or so many; they are counted."""
        if self._per_second == 0:
            return True
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(self._room, self._left + passed * self._per_second)
        if self._left < count:
            return False
        self._left -= count
        return True


class Window:
    """So many calls in each window, which begins with the first of them."""

    def __init__(self, calls: int, length_s: float) -> None:
        self._calls = calls
        self._length = length_s
        self._made = 0
        self._ends = float("-inf")

    def allows(self, now: float) -> bool:
        """Whether one more may be; it is counted."""
        if self._calls == 0:
            return True
        if now > self._ends:
            self._made, self._ends = 0, now + self._length
        self._made += 1
        return self._made <= self._calls


class Rates:
    """The rates of one service, shared by its sockets."""

    def __init__(self, limits: Limits) -> None:
        self.joins = Rate(limits.joins_per_second, JOIN_WINDOW_S)
        self.events = Rate(limits.events_per_second, EVENT_WINDOW_S)
        self.presence = Rate(limits.presence_per_second, EVENT_WINDOW_S)
