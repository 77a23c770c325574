"""The beat's alarm clock: a timer and any number of signals merged into at most one pending wake."""

from __future__ import annotations

import anyio

SHORTEST_S = 0.02


class Wake:
    """Rings come from anywhere; one task waits. A ring that nobody has heard yet swallows the next ones."""

    def __init__(self) -> None:
        self._changed = anyio.Event()
        self._cause: str | None = None
        self._deadline: float | None = None
        self._waited_at = anyio.current_time()

    def age_s(self) -> float:
        """Seconds since the waiter last came to wait: a loop that stands still does not come back."""
        return anyio.current_time() - self._waited_at

    def ring(self, cause: str) -> None:
        """Wake the waiter now, or at its next wait."""
        self._cause = self._cause or cause
        self._changed.set()

    def within(self, seconds: float | None) -> None:
        """Wake the waiter in at most so many seconds; None says nothing. Never sooner than a short breath."""
        if seconds is None:
            return
        deadline = anyio.current_time() + max(SHORTEST_S, seconds)
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            self._changed.set()

    async def wait(self, at_most_s: float) -> str:
        """Wait for a ring, a time given to ``within``, or ``at_most_s``; returns what it was."""
        self._waited_at = anyio.current_time()
        end = self._waited_at + at_most_s
        while True:
            if self._cause is not None:
                return self._heard(self._cause)
            due = end if self._deadline is None else min(end, self._deadline)
            if anyio.current_time() >= due:
                return self._heard("timer")
            self._changed = anyio.Event()
            with anyio.move_on_at(due):
                await self._changed.wait()

    def _heard(self, cause: str) -> str:
        self._cause = None
        if self._deadline is not None and self._deadline <= anyio.current_time():
            self._deadline = None
        return cause
