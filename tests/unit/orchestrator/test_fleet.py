"""Slots and leases: who is counted, and for whom a daemon waits before it ends."""

import uuid
from datetime import UTC, datetime

import anyio

from orchestrator.fleet import Fleet, Halt, LiveCycle

STACK = uuid.UUID(int=1)


def cycle(fence: int) -> LiveCycle:
    return LiveCycle(stack_id=STACK, fence=fence, claimed_at=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_stack_that_comes_back_halts_its_old_cycle_and_shows_only_the_new_lease() -> None:
    fleet, old, new = Fleet(5), cycle(1), cycle(2)
    fleet.enter(old)
    fleet.enter(new)
    assert old.halted is Halt.LEASE_LOST
    assert new.halted is None
    assert fleet.leases() == (new.lease,)
    fleet.leave(old)
    assert fleet.get(STACK) is new


async def test_a_cycle_that_winds_down_keeps_its_slot_and_the_daemon_until_it_leaves() -> None:
    fleet, old, new = Fleet(5), cycle(1), cycle(2)
    fleet.enter(old)
    fleet.enter(new)
    assert fleet.free == 3
    fleet.leave(new)
    with anyio.move_on_after(0.01) as waiting:
        await fleet.drained()
    assert waiting.cancelled_caught
    fleet.leave(old)
    assert fleet.free == 5
    with anyio.fail_after(5):
        await fleet.drained()


async def test_halting_everything_reaches_a_cycle_that_winds_down() -> None:
    fleet, old, new = Fleet(5), cycle(1), cycle(2)
    fleet.enter(old)
    fleet.enter(new)
    with old.cancellable() as scope:
        fleet.halt_all(Halt.SHUTDOWN)
    assert scope.cancel_called
    assert new.halted is Halt.SHUTDOWN
