"""The loop: wake -> claim up to the free slots -> one task per stack -> wait for the next wake."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from orchestrator.claims import Rhythm, beat_done, enter, next_look
from orchestrator.cycle import Crew, run_cycle
from orchestrator.facts import CycleBroke
from orchestrator.fleet import Fleet, Start
from orchestrator.pulse import Heart
from orchestrator.store import Store, StoreError
from orchestrator.tracing import cycle_span
from orchestrator.wake import Wake

# So that the first stacks of a large claim are at work while the database reads the next ones.
MOST_PER_CLAIM = 50
AWAY_WAIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """The beat of one daemon; every slot at work is a task of ``group``."""

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
            claim = await self.store.claim(self.rhythm.terms(most, number=number))
            for claimed in claim.stacks:
                # The slot is taken here, not in the task: the next claim must already know of it.
                start = enter(claimed, claim, self.fleet, self.crew.observer)
                self.group.start_soon(self._slot, start)
        if len(claim.stacks) == most:
            self.wake.ring("more")
        else:
            self.wake.within(next_look(claim, most=most))
        if claim.stacks:
            self.crew.observer(beat_done(cause, claim, self.fleet, started))

    async def _slot(self, start: Start | None) -> None:
        """One cycle, and as many after it as its place is handed on to; none keeps what the one before has read."""
        while start is not None:
            await self._cycle(start)
            start = start.live.successor

    async def _cycle(self, start: Start) -> None:
        was_full = self.fleet.free == 0
        try:
            with cycle_span(start.claimed):
                report = await run_cycle(start.claimed, start.around, start.live, self.crew)
        except Exception:  # one stack's bug must not take the others down
            self.crew.observer(CycleBroke(stack=str(start.claimed.stack_id), error=traceback.format_exc()[-4_000:]))
            return
        finally:
            self.fleet.leave(start.live)
        if start.live.successor is not None:
            return
        if report.due.after is not None and not report.due.after:
            self.wake.ring("settled")
        elif was_full:
            self.wake.ring("slot")
