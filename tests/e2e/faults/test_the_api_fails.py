"""The API answers 500 or nothing at all for a while: outcomes are kept and sent again until they have a verdict."""

from __future__ import annotations

import time
from typing import Any

import pytest
from faults.place import LEASE_S, Place
from faults.promises import answered, assert_kept, built
from faults.provider import Provider
from faults.wire import Side, Wire
from processes import eventually

GIVEN_UP = "select count(*) from agent_executions where status in ('abandoned', 'stale')"
# Longer than the lease, and nobody else is there to take over.
SECONDS = pytest.mark.parametrize("seconds", [2.5 * LEASE_S, pytest.param(30, marks=pytest.mark.slow)])
FAULTS = pytest.mark.parametrize(
    ("side", "status"),
    [
        pytest.param(Side.BEFORE, 500, id="500"),
        pytest.param(Side.AFTER, 500, id="500 after it was done"),
        pytest.param(Side.BEFORE, None, id="hangs"),
        pytest.param(Side.AFTER, None, id="hangs after it was done"),
    ],
)


@FAULTS
@SECONDS
def test_replies_that_come_meanwhile_land_once(
    side: Side,
    status: int | None,
    seconds: float,
    place: Place,
    provider: Provider,
    wire: Wire,
    daemon: Any,
) -> None:
    stacks = [place.stack(f"Stack {n}", visitor=True, state="idle") for n in range(5)]
    provider.hold()
    process = daemon("daemon", wire=wire)
    place.move("running", *stacks)
    eventually(lambda: len(provider.open) == 10, within=20, what="builders and communicators ask")
    block = wire.block(side, status=status)
    provider.release()
    began = time.monotonic()
    eventually(lambda: block.reached and time.monotonic() > began + seconds, within=90, what="the outage lasts")
    wire.lift(block)
    built(place, 5)
    answered(place, 5)
    assert process.poll() is None
    assert place.one(GIVEN_UP) == 0
    assert_kept(place, provider)


def claims(wire: Wire) -> int:
    """How many claims have reached Supabase."""
    return sum(verb == "claim_due_stacks" for verb, _ in wire.forwarded)


def test_a_daemon_does_not_take_over_from_itself(place: Place, provider: Provider, wire: Wire, daemon: Any) -> None:
    """Its leases have expired, nobody else has its stacks, and its claim gets through before its heartbeat does."""
    place.move("running", place.stack("Owls", state="idle"))
    provider.hold()
    daemon("daemon", wire=wire, STACKBEAT_CADENCE_S="1")
    eventually(lambda: provider.open, within=20, what="the builder's call")
    heartbeats = wire.block(Side.BEFORE, "heartbeat", status=500)
    seen = claims(wire)
    place.until("select lease_expires_at < clock_timestamp() + interval '0.5 s' from stack_schedule")
    eventually(lambda: len(heartbeats.reached) > 20 or claims(wire) > seen + 4, within=20, what="beats after that")
    wire.lift(heartbeats)
    provider.release()
    built(place, 1)
    assert place.one(GIVEN_UP) == 0
    assert_kept(place, provider)


def test_a_claim_that_arrives_late_does_not_take_over_from_itself(
    place: Place, provider: Provider, wire: Wire, daemon: Any
) -> None:
    """It set out while the lease was good, and arrives when that has ended and no heartbeat got through meanwhile."""
    place.move("running", place.stack("Owls", state="idle"))
    provider.hold()
    daemon("daemon", wire=wire, STACKBEAT_CADENCE_S="0.2")
    eventually(lambda: provider.open, within=20, what="the builder's call")
    heartbeats = wire.block(Side.BEFORE, "heartbeat", status=500)
    late = wire.block(Side.BEFORE, "claim_due_stacks", delivers=True)
    eventually(lambda: late.reached, within=20, what="a claim on its way")
    place.until("select lease_expires_at < clock_timestamp() from stack_schedule")
    seen = claims(wire)
    wire.lift(late)
    eventually(lambda: claims(wire) > seen, within=20, what="the claim arrives")
    wire.lift(heartbeats)
    provider.release()
    built(place, 1)
    assert place.one(GIVEN_UP) == 0
    assert_kept(place, provider)
