"""Cycles that end hand their places on: what a commit claims, who gets whose place, and when it claims nothing."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio
import pytest

from orchestrator.claims import Rhythm
from orchestrator.facts import BeatDone, Fact, LeaseLost, StackClaimed
from orchestrator.fleet import Fleet, Halt, LiveCycle
from orchestrator.pulse import Heart
from orchestrator.relay import Relay
from orchestrator.verbs import Claim, ClaimedStack, Committed, CommitVerdict, Settlement, SettleVerdict
from orchestrator.wake import Wake

NOW = datetime.fromisoformat("2026-11-22T10:00:00+00:00")
A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
DONE, BUSY = CommitVerdict.DONE, CommitVerdict.BUSY


def live(stack: UUID, fence: int = 1) -> LiveCycle:
    return LiveCycle(stack_id=stack, fence=fence, claimed_at=NOW)


def settlement(stack: UUID, due_in_ms: int | None = 0) -> Settlement:
    return Settlement(stack_id=stack, fence=1, wakes=0, due_in_ms=due_in_ms, wait_reason=None)


def claimed(*stacks: UUID, due: bool = False) -> Claim:
    found = tuple(
        ClaimedStack(stack_id=stack, fence=2, wakes=0, snapshot={"stack": {"name": f"Stack {stack.int}"}})
        for stack in stacks
    )
    return Claim(now=NOW, next_wake_at=NOW if due else None, stacks=found)


def answer(claim: Claim | None, *settled: UUID, verdict: CommitVerdict = DONE) -> Committed:
    verdicts = tuple(SettleVerdict(stack_id=stack, verdict=verdict) for stack in settled)
    return Committed(now=NOW, settled=verdicts, claimed=claim)


@dataclass(kw_only=True)
class Track:
    """A relay with a fleet that runs A and B, and what it tells."""

    facts: list[Fact] = field(default_factory=list)
    fleet: Fleet = field(default_factory=lambda: Fleet(2))
    wake: Wake = field(default_factory=Wake)

    def __post_init__(self) -> None:
        store: Any = None  # nothing beats here
        self.heart = Heart(
            store=store,
            fleet=self.fleet,
            observer=self.facts.append,
            name="n",
            version="1",
            every_s=1,
            lease_ms=15_000,
            wake=self.wake,
        )
        self.relay = Relay(
            fleet=self.fleet,
            heart=self.heart,
            wake=self.wake,
            rhythm=Rhythm(cadence_s=10, lease_s=15, fleet_slots=7),
            observer=self.facts.append,
            stopping=anyio.Event(),
        )
        self.a, self.b = live(A), live(B)
        self.fleet.enter(self.a)
        self.fleet.enter(self.b)

    def told(self, kind: type[Fact]) -> list[Fact]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


async def test_a_claim_asks_for_the_places_of_all_that_ends_and_is_over_when_they_are_taken() -> None:
    track = Track()
    with track.relay.leg([settlement(A), settlement(B, due_in_ms=None)]) as leg:
        assert leg.terms == {"max": 2, "lease_ms": 15_000, "cadence_ms": 10_000, "claim": 1, "fleet_max": 7}
        assert track.heart.claims_over == 0
        track.relay.take(leg, answer(claimed(A), A, B))
    assert track.heart.claims_over == 1


async def test_a_stack_goes_on_in_its_own_place_without_having_been_lost() -> None:
    track = Track()
    with track.relay.leg([settlement(A), settlement(B)]) as leg:
        track.relay.take(leg, answer(claimed(B, A), A, B))
    for old in (track.a, track.b):
        assert old.halted is None
        assert old.successor is not None
        assert old.successor.live.lease.stack_id == old.lease.stack_id
        assert track.fleet.get(old.lease.stack_id) is old.successor.live
        assert old.successor.live.lease.fence == 2
    assert track.fleet.free == 0
    track.fleet.leave(track.a)
    assert track.fleet.free == 0, "its place is taken"
    assert not track.told(LeaseLost)
    assert len(track.told(StackClaimed)) == 2
    assert [fact.claimed for fact in track.facts if isinstance(fact, BeatDone)] == [2]


async def test_another_stack_gets_the_place_that_is_left() -> None:
    track = Track()
    with track.relay.leg([settlement(A), settlement(B)]) as leg:
        track.relay.take(leg, answer(claimed(C, B), A, B))
    assert track.a.successor is not None
    assert track.a.successor.claimed.stack_id == C
    assert track.b.successor is not None
    assert track.b.successor.claimed.stack_id == B
    assert track.fleet.get(A) is None
    assert track.fleet.free == 0


async def test_a_cycle_whose_settlement_is_sent_again_keeps_its_place() -> None:
    track = Track()
    with track.relay.leg([settlement(A)]) as leg:
        track.relay.take(leg, answer(claimed(C), A, verdict=BUSY))
    assert track.a.successor is None
    assert track.fleet.get(A) is track.a
    assert track.fleet.get(C) is None, "the next heartbeat does not name it, so the database gives it up"


async def test_a_place_is_a_cycles_own_not_its_successors() -> None:
    track = Track()
    newer = live(A, fence=5)
    track.fleet.enter(newer)
    with track.relay.leg([settlement(A)]) as leg:
        track.relay.take(leg, answer(claimed(C), A))
    assert track.a.halted is Halt.LEASE_LOST
    assert newer.successor is None
    assert track.fleet.get(C) is None


@pytest.mark.parametrize(
    "why", ["nothing is due at once", "nothing ends", "the daemon drains", "no loop beats", "a claim is under way"]
)
async def test_nothing_is_claimed_when(why: str) -> None:
    track = Track()
    ends = [] if why == "nothing ends" else [settlement(A, due_in_ms=5_000 if why == "nothing is due at once" else 0)]
    if why == "the daemon drains":
        assert track.relay.stopping is not None
        track.relay.stopping.set()
    if why == "no loop beats":
        track.relay.stopping = None
    with ExitStack() as others:
        if why == "a claim is under way":
            others.enter_context(track.relay.leg(ends))
        with track.relay.leg(ends) as leg:
            assert leg.terms is None
        assert track.heart.claims_over == 0, "and no number is used up"


async def test_a_daemon_that_drains_meanwhile_starts_nothing_more() -> None:
    track = Track()
    with track.relay.leg([settlement(A)]) as leg:
        assert track.relay.stopping is not None
        track.relay.stopping.set()
        track.relay.take(leg, answer(claimed(A), A))
    assert track.a.successor is None
    assert track.heart.claims_over == 1, "what it brought is given back by the next heartbeat"


async def test_a_full_claim_with_more_to_come_wakes_the_loop_and_a_locked_stack_does_so_later() -> None:
    track = Track()
    with track.relay.leg([settlement(A)]) as leg:
        track.relay.take(leg, answer(claimed(A, due=True), A))
    with anyio.fail_after(0.2):
        assert await track.wake.wait(60) == "timer"
    track = Track()
    with track.relay.leg([settlement(A)]) as leg:
        track.relay.take(leg, answer(claimed(due=True), A))
    with anyio.move_on_after(0.2) as waiting:
        await track.wake.wait(60)
    assert waiting.cancelled_caught
    with anyio.fail_after(0.2):
        assert await track.wake.wait(60) == "timer"


async def test_claims_that_overlap_are_over_in_their_order() -> None:
    """The heartbeat names one number: nothing of an open claim may be given up, nor of one after it."""
    heart = Track().heart
    with heart.claiming() as first:
        with heart.claiming() as second:
            assert (first, second, heart.claims_over) == (1, 2, 0)
        assert heart.claims_over == 0
        with heart.claiming():
            assert heart.claims_over == 0
    assert heart.claims_over == 3
