"""When the database last answered, and since when it has known of a due stack that nobody took."""

from __future__ import annotations

import anyio

from orchestrator.verbs import Answer, Claim, Committed, seconds_until


class Contact:
    """Kept by the store, read by whoever asks how the daemon is; all times are waits on this machine's clock."""

    def __init__(self) -> None:
        self.last_at: float | None = None
        self._due_at: float | None = None

    def note(self, answer: Answer) -> None:
        """An answer came: remember when, and what it says about the next due stack."""
        self.last_at = anyio.current_time()
        match answer:
            case Claim():  # speaks of all stacks that nobody holds
                self._replace_due(seconds_until(answer.next_wake_at, answer.now))
            case Committed(claimed=Claim() as claim):
                self._replace_due(seconds_until(claim.next_wake_at, claim.now))
            case Committed():  # speaks of those it settled itself
                self._advance_due(seconds_until(answer.next_wake_at, answer.now))
            case _:
                pass

    def age_s(self) -> float | None:
        """Seconds since the last answer; None before the first."""
        return None if self.last_at is None else anyio.current_time() - self.last_at

    def backlog_s(self) -> float:
        """For how long, without a break, some due stack has been waiting, as far as the claims of this daemon tell."""
        return 0.0 if self._due_at is None else max(0.0, anyio.current_time() - self._due_at)

    def _advance_due(self, wait_s: float | None) -> None:
        if wait_s is not None:
            due_at = anyio.current_time() + max(0.0, wait_s)
            self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)

    def _replace_due(self, wait_s: float | None) -> None:
        now = anyio.current_time()
        if wait_s is not None and wait_s <= 0 and self._due_at is not None and self._due_at <= now:
            return  # still due: it waits since then
        self._due_at = None if wait_s is None else now + max(0.0, wait_s)
