"""When to leave a model alone: a small state machine on values, with the time as an argument.

Closed until ``THRESHOLD`` attempts in a row failed; then open for a wait that doubles with every further failure; when
the wait is over one attempt may probe, and the others go on waiting for what it finds. A provider that says how long to
wait (Retry-After) is believed at once. Attempts that were under way when it opened say nothing new, so a burst of
failures counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

THRESHOLD = 3
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 60.0
NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    failures: int = 0
    opened_at: float = NEVER
    open_until: float = 0.0
    probe_until: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it opened and nothing has answered since; the rest may be over, and the next attempt a probe."""
        return self.opened_at != NEVER

    def rests_for(self, now: float) -> float:
        """Seconds until the model may be asked again at the latest; 0 when it may be asked now."""
        return max(0.0, self.open_until - now, self.probe_until - now)

    def rest_left(self, now: float) -> float:
        """The rest without the probe, which is usually answered long before its time is over."""
        return max(0.0, self.open_until - now)

    def failed(self, now: float, *, since: float, retry_after_s: float | None = None) -> Breaker:
        """The state after an attempt that began at ``since`` failed at ``now``."""
        if since < self.opened_at:
            return self
        failures = self.failures + 1
        if retry_after_s is not None:
            wait = retry_after_s
        elif self.is_open or failures >= THRESHOLD:
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(max(failures - THRESHOLD, 0), 10))
        else:
            return Breaker(failures=failures)
        return Breaker(failures=failures, opened_at=now, open_until=now + wait)

    def denied(self, now: float) -> Breaker:
        """Wrong key or unknown model: nothing changes until an operator acts, so ask rarely."""
        return Breaker(failures=self.failures + 1, opened_at=now, open_until=now + LONGEST_WAIT_S)

    def probing(self, now: float, patience_s: float) -> Breaker:
        """One attempt is on its way after a rest: hold the others back until it returns."""
        return replace(self, probe_until=now + patience_s)

    def unprobed(self) -> Breaker:
        """The attempt was given up before it returned."""
        return replace(self, probe_until=0.0)


CLOSED = Breaker()
