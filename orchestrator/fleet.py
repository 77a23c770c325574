"""The stacks this daemon works on right now: slots, leases, and the way to cut a model call short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import anyio

from agents.snapshot import Surroundings
from orchestrator.verbs import ClaimedStack, Lease


class Halt(StrEnum):
    """Why a cycle's model calls were cut short."""

    STOPPED = "the stack was stopped"
    DELETED = "the stack was deleted"
    LEASE_LOST = "another daemon took the stack over"
    SHUTDOWN = "the daemon is shutting down"


class LiveCycle:
    """One stack under this daemon's lease. Halting cancels model calls only: what was spent is still committed.

    ``successor`` is what goes on in its place when it has ended, where something was claimed for it.
    """

    def __init__(self, *, stack_id: UUID, fence: int, claimed_at: datetime) -> None:
        self.lease = Lease(stack_id=stack_id, fence=fence)
        self.claimed_at = claimed_at
        self.halted: Halt | None = None
        self.successor: Start | None = None
        self._scopes: set[anyio.CancelScope] = set()

    def halt(self, why: Halt) -> None:
        if self.halted is None:
            self.halted = why
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def cancellable(self) -> Iterator[anyio.CancelScope]:
        """A scope that ends at once when the cycle is halted, also when that happened before."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self.halted is not None:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.discard(scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A claimed stack that is in the fleet: all that its cycle needs to begin."""

    claimed: ClaimedStack
    around: Surroundings
    live: LiveCycle


class Fleet:
    """Every live cycle, at most ``slots`` of them, also those that wind down after their stack came back."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._live: dict[UUID, LiveCycle] = {}
        self._superseded: list[LiveCycle] = []
        self._left = anyio.Event()

    @property
    def free(self) -> int:
        return self.slots - len(self)

    def __len__(self) -> int:
        return len(self._live) + len(self._superseded)

    def leases(self) -> tuple[Lease, ...]:
        return tuple(cycle.lease for cycle in self._live.values())

    def get(self, stack_id: UUID) -> LiveCycle | None:
        return self._live.get(stack_id)

    def enter(self, cycle: LiveCycle) -> bool:
        """Take a slot.

        A stack that comes back under a new fence while its old cycle winds down halts the old one (True where that
        still ran), which keeps its slot until it leaves: what it spent is still to be committed.
        """
        previous = self._live.get(cycle.lease.stack_id)
        halts = previous is not None and previous.halted is None
        if previous is not None:
            previous.halt(Halt.LEASE_LOST)
            self._superseded.append(previous)
        self._live[cycle.lease.stack_id] = cycle
        return halts

    def leave(self, cycle: LiveCycle) -> None:
        if self._live.get(cycle.lease.stack_id) is cycle:
            del self._live[cycle.lease.stack_id]
        elif cycle in self._superseded:
            self._superseded.remove(cycle)
        self._left.set()

    def halt_all(self, why: Halt) -> None:
        for cycle in (*self._live.values(), *self._superseded):
            cycle.halt(why)

    async def drained(self) -> None:
        while len(self):
            self._left = anyio.Event()
            await self._left.wait()
