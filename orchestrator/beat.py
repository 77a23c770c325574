"""The loop: wake -> claim up to the free slots -> one task per stack -> wait for the next wake."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agents.snapshot import Surroundings
from orchestrator.cycle import Crew, run_cycle
from orchestrator.facts import BeatDone, CycleBroke, LeaseLost, StackClaimed
from orchestrator.fleet import Fleet, LiveCycle
from orchestrator.pulse import Heart
from orchestrator.store import Store, StoreError
from orchestrator.tracing import cycle_span
from orchestrator.verbs import Claim, ClaimedStack, seconds_until
from orchestrator.wake import Wake

# So that the first stacks of a large claim are at work while the database reads the next ones.
MOST_PER_CLAIM = 50
AWAY_WAIT_S = 1.0
LOCKED_WAIT_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    cadence_s: float
    lease_s: float
    fleet_slots: int | None = None

    @property
    def cadence_ms(self) -> int:
        return round(self.cadence_s * 1_000)

    @property
    def lease_ms(self) -> int:
        return round(self.lease_s * 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The beat of one daemon; every cycle is a task of ``group``."""

    store: Store
    fleet: Fleet
    crew: Crew
    wake: Wake
    heart: Heart
    rhythm: Rhythm
    group: TaskGroup

    async def run(self, stopping: anyio.Event) -> None:
        """Beat until ``stopping``; an unreachable store only delays the next beat."""
        cause = "start"
        while not stopping.is_set():
            at_most = self.rhythm.cadence_s
            if self.fleet.free > 0:
                try:
                    await self._beat(cause)
                except StoreError as error:
                    at_most = min(at_most, AWAY_WAIT_S)
                    self.store.report_away("claim_due_stacks", error, at_most)
            cause = await self.wake.wait(at_most)

    async def _beat(self, cause: str) -> None:
        started, most = anyio.current_time(), min(self.fleet.free, MOST_PER_CLAIM)
        with self.heart.claiming() as number:
            claim = await self.store.claim(
                most=most,
                lease_ms=self.rhythm.lease_ms,
                cadence_ms=self.rhythm.cadence_ms,
                number=number,
                fleet_slots=self.rhythm.fleet_slots,
            )
            for claimed in claim.stacks:
                self._start(claimed, claim)
        if len(claim.stacks) == most:
            self.wake.ring("more")
        else:
            self.wake.within(_next_look(claim))
        if claim.stacks:
            self._report(cause, claim, started)

    def _start(self, claimed: ClaimedStack, claim: Claim) -> None:
        live = LiveCycle(stack_id=claimed.stack_id, fence=claimed.fence, claimed_at=claim.now)
        stack = claimed.snapshot.get("stack")
        name = str(stack.get("name", "")) if isinstance(stack, dict) else ""
        self.crew.observer(
            StackClaimed(stack=str(claimed.stack_id), name=name, fence=claimed.fence, overruns=claimed.overruns)
        )
        # The slot is taken here, not in the task: the next claim must already know of it.
        if self.fleet.enter(live):
            self.crew.observer(LeaseLost(stack=str(claimed.stack_id), cause="somebody else had it meanwhile"))
        self.group.start_soon(self._cycle, claimed, claim.around, live)

    async def _cycle(self, claimed: ClaimedStack, around: Surroundings, live: LiveCycle) -> None:
        was_full = self.fleet.free == 0
        try:
            with cycle_span(claimed):
                report = await run_cycle(claimed, around, live, self.crew)
        except Exception:  # one stack's bug must not take the others down
            self.crew.observer(CycleBroke(stack=str(claimed.stack_id), error=traceback.format_exc()[-4_000:]))
            return
        finally:
            self.fleet.leave(live)
        if report.due.after is not None and not report.due.after:
            self.wake.ring("settled")
        elif was_full:
            self.wake.ring("slot")

    def _report(self, cause: str, claim: Claim, started: float) -> None:
        lags = [(claim.now - claimed.due_at).total_seconds() for claimed in claim.stacks if claimed.due_at]
        self.crew.observer(
            BeatDone(
                cause=cause,
                claimed=len(claim.stacks),
                free_slots=self.fleet.free,
                took_ms=(anyio.current_time() - started) * 1_000,
                lag_ms=max(0.0, *lags, 0.0) * 1_000,
            )
        )


def _next_look(claim: Claim) -> float | None:
    """Due and yet not claimed means that somebody's transaction holds the stack: asking again at once is no use."""
    wait = seconds_until(claim.next_wake_at, claim.now)
    return wait if wait is None or claim.stacks else max(LOCKED_WAIT_S, wait)
