"""How the daemon is at this moment, and what that means: alive, ready, or what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STUCK_AFTER_TIMEOUTS = 6
"""A turn of the loop is one store call; so many request time-outs beyond the cadence are no slow call any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the daemon's parts say of themselves when asked; every age and wait in seconds."""

    slots: int
    slots_free: int
    due: int
    begin_wait_s: float
    commit_wait_s: float
    backlog_s: float
    contact_age_s: float | None
    loop_age_s: float


ReadVitals = Callable[[], Vitals]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """From where on an age is a fault: the daemon's own settings."""

    lease_s: float
    cadence_s: float
    request_timeout_s: float

    @property
    def stuck_s(self) -> float:
        return self.cadence_s + STUCK_AFTER_TIMEOUTS * self.request_timeout_s


def what_is_stuck(vitals: Vitals | None, bounds: Bounds, *, stopping: bool) -> tuple[str, ...]:
    """Why the daemon should be started anew; nothing while it starts or drains, for then the loop need not turn."""
    if vitals is None or stopping or vitals.loop_age_s <= bounds.stuck_s:
        return ()
    return (f"the loop has not turned for {vitals.loop_age_s:.0f} s (at most {bounds.stuck_s:.0f} s are usual)",)


def what_is_missing(vitals: Vitals | None, bounds: Bounds, *, stopping: bool) -> tuple[str, ...]:
    """Why stacks do not move here now. Signals may be down: the timer finds everything without them."""
    problems = ["the daemon is stopping: it claims nothing more"] if stopping else []
    if vitals is None or vitals.contact_age_s is None:
        return (*problems, "the daemon is starting: Supabase has not answered yet")
    if vitals.contact_age_s > bounds.lease_s:
        problems.append(
            f"Supabase has not answered for {vitals.contact_age_s:.1f} s, longer than a lease lasts "
            f"({bounds.lease_s:g} s): check that it runs and accepts the key"
        )
    return tuple(problems)
