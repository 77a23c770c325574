"""What the two ways to claim have in common: the beat's call of its own, and the relay's part of a commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from orchestrator.facts import BeatDone, LeaseLost, Observer, StackClaimed
from orchestrator.fleet import Fleet, LiveCycle, Start
from orchestrator.verbs import Claim, ClaimedStack, seconds_until

# Due and yet not claimed means that somebody's transaction holds the stack: asking again at once is no use.
LOCKED_WAIT_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a stack is looked at, for how long it is leased, and how many the whole fleet may hold."""

    cadence_s: float
    lease_s: float
    fleet_slots: int | None = None

    @property
    def cadence_ms(self) -> int:
        return round(self.cadence_s * 1_000)

    @property
    def lease_ms(self) -> int:
        return round(self.lease_s * 1_000)

    def terms(self, most: int, *, number: int | None = None) -> dict[str, Any]:
        """What a claim of at most so many stacks asks for, on the wire."""
        terms: dict[str, Any] = {"max": most, "lease_ms": self.lease_ms, "cadence_ms": self.cadence_ms}
        if number is not None:
            terms |= {"claim": number}
        if self.fleet_slots is not None:
            terms |= {"fleet_max": self.fleet_slots}
        return terms


def next_look(claim: Claim, *, most: int) -> float | None:
    """In how many seconds a claim of at most so many is worth repeating; None says nothing."""
    wait = seconds_until(claim.next_wake_at, claim.now)
    if wait is None or len(claim.stacks) == most:
        return wait
    return wait if claim.stacks else max(LOCKED_WAIT_S, wait)


def enter(
    claimed: ClaimedStack, claim: Claim, fleet: Fleet, observer: Observer, *, place: LiveCycle | None = None
) -> Start:
    """Put a claimed stack into the fleet, in the place of a cycle that has ended or in a free one."""
    stack = claimed.snapshot.get("stack")
    name = str(stack.get("name", "")) if isinstance(stack, dict) else ""
    observer(StackClaimed(stack=str(claimed.stack_id), name=name, fence=claimed.fence, overruns=claimed.overruns))
    live = LiveCycle(stack_id=claimed.stack_id, fence=claimed.fence, claimed_at=claim.now)
    if place is not None:
        fleet.leave(place)
    if fleet.enter(live):
        observer(LeaseLost(stack=str(claimed.stack_id), cause="somebody else had it meanwhile"))
    return Start(claimed=claimed, around=claim.around, live=live)


def beat_done(cause: str, claim: Claim, fleet: Fleet, started: float) -> BeatDone:
    """What a claim that found something is told as; ``started`` by this machine's clock."""
    lags = [(claim.now - claimed.due_at).total_seconds() for claimed in claim.stacks if claimed.due_at]
    return BeatDone(
        cause=cause,
        claimed=len(claim.stacks),
        free_slots=fleet.free,
        took_ms=(anyio.current_time() - started) * 1_000,
        lag_ms=max(0.0, *lags, 0.0) * 1_000,
    )
