"""Cycles that end hand their places on: the call that settles them claims as many due stacks in their stead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestrator.claims import Rhythm, beat_done, enter, next_look
from orchestrator.facts import Observer
from orchestrator.fleet import Fleet, LiveCycle
from orchestrator.pulse import Heart
from orchestrator.verbs import ClaimedStack, Committed, CommitVerdict, Settlement, seconds_until
from orchestrator.wake import Wake

CAUSE = "settlement"  # of a beat that was part of a commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One commit's part in it: the cycles it ends, and what it claims in their stead (None: nothing)."""

    settlements: Sequence[Settlement]
    terms: Mapping[str, Any] | None
    started: float = field(default_factory=anyio.current_time)


@dataclass(slots=True, kw_only=True)
class Relay:
    """Runs while a loop beats: ``stopping`` is that loop's, and None where no loop beats."""

    fleet: Fleet
    heart: Heart
    wake: Wake
    rhythm: Rhythm
    observer: Observer
    stopping: anyio.Event | None = None

    @contextmanager
    def leg(self, settlements: Sequence[Settlement]) -> Iterator[Leg]:
        """Around one call of ``commit_runs`` and ``take``: it claims where some stack is due again at once.

        Not while another claim is under way: their answers would come together, and nobody would be at work meanwhile.
        The claim is over when its stacks are in the fleet, or when nobody waits for its answer.
        """
        wanted = any(settlement.due_in_ms == 0 for settlement in settlements)
        if not (self._runs and wanted) or self.heart.is_claiming:
            yield Leg(settlements=settlements, terms=None)
            return
        with self.heart.claiming() as number:
            yield Leg(settlements=settlements, terms=self.rhythm.terms(len(settlements), number=number))

    def take(self, leg: Leg, answer: Committed) -> None:
        """Give each claimed stack the place of a cycle that ended here, its own where that is among them.

        What finds no place is entered nowhere, so the next heartbeat gives it back.
        """
        claim = answer.claimed
        if claim is None or leg.terms is None:
            self.wake.within(seconds_until(answer.next_wake_at, answer.now))
            return
        self.wake.within(next_look(claim, most=leg.terms["max"]))
        if not (claim.stacks and self._runs):
            return
        for place, claimed in _paired(self._places(leg, answer), claim.stacks):
            place.successor = enter(claimed, claim, self.fleet, self.observer, place=place)
        self.observer(beat_done(CAUSE, claim, self.fleet, leg.started))

    @property
    def _runs(self) -> bool:
        return self.stopping is not None and not self.stopping.is_set()

    def _places(self, leg: Leg, answer: Committed) -> list[LiveCycle]:
        """The cycles that end with this answer; one whose settlement is sent again keeps its place."""
        over = {settled.stack_id for settled in answer.settled if settled.verdict is not CommitVerdict.BUSY}
        fences = {settlement.stack_id: settlement.fence for settlement in leg.settlements}
        lives = [self.fleet.get(stack) for stack in fences if stack in over]
        return [live for live in lives if live is not None and live.lease.fence == fences[live.lease.stack_id]]


def _paired(places: Sequence[LiveCycle], stacks: Sequence[ClaimedStack]) -> Iterator[tuple[LiveCycle, ClaimedStack]]:
    """Each stack with its own old cycle where that is there, then the others with the places that are left."""
    left = {place.lease.stack_id: place for place in places}
    others = []
    for claimed in stacks:
        place = left.pop(claimed.stack_id, None)
        if place is None:
            others.append(claimed)
        else:
            yield place, claimed
    yield from zip(left.values(), others, strict=False)
