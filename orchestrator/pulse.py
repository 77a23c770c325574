"""The heartbeat: keeps this worker's leases, and hears without any signal which stacks were stopped or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from orchestrator.facts import LeaseLost, Observer
from orchestrator.fleet import Fleet, Halt
from orchestrator.store import Store, StoreError
from orchestrator.verbs import Lease, Pulse
from orchestrator.wake import Wake


@dataclass(slots=True, kw_only=True)
class Heart:
    """Beats every ``every_s`` under the worker's name.

    Claims are numbered here. A beat names the leases that are lived by and the last claim up to which all are over, so
    that the database can give up leases whose claim's answer was lost, and only those: see ``heartbeat`` in the
    migrations.
    ``due`` is how many stacks anybody could have claimed at the last beat.
    """

    store: Store
    fleet: Fleet
    observer: Observer
    name: str
    version: str
    every_s: float
    lease_ms: int
    wake: Wake
    due: int = 0
    _claims: int = 0
    _open_claims: set[int] = field(default_factory=set)

    @contextmanager
    def claiming(self) -> Iterator[int]:
        """Number the next claim, which is over when its stacks are in the fleet or nobody waits for its answer."""
        self._claims += 1
        number = self._claims
        self._open_claims.add(number)
        try:
            yield number
        finally:
            self._open_claims.remove(number)

    @property
    def is_claiming(self) -> bool:
        return bool(self._open_claims)

    @property
    def claims_over(self) -> int:
        """The last claim before which none is open, itself included."""
        return min(self._open_claims, default=self._claims + 1) - 1

    async def run(self) -> None:
        """Beat until cancelled; a missed beat is a fact, the lease outlives some of them."""
        while True:
            try:
                await self.beat()
            except StoreError as error:
                self.store.report_away("heartbeat", error, self.every_s)
            await anyio.sleep(self.every_s)

    async def beat(self, *, stopping: bool = False) -> None:
        """One heartbeat; raises StoreError."""
        leases = self.fleet.leases()
        pulse = await self.store.heartbeat(
            leases,
            claims=self.claims_over,
            name=self.name,
            version=self.version,
            slots=self.fleet.slots,
            lease_ms=self.lease_ms,
            stopping=stopping,
        )
        self.due = pulse.due
        if pulse.released:
            self.wake.ring("released")
        self._apply(leases, pulse)

    def _apply(self, sent: tuple[Lease, ...], pulse: Pulse) -> None:
        stopped = {halted.stack_id for halted in pulse.halted if halted.execution_state == "stopped"}
        lost = set(pulse.lost)
        for lease in sent:
            live = self.fleet.get(lease.stack_id)
            # A stack that settled or came back meanwhile is not the one that was asked about.
            if live is None or live.lease != lease or live.halted is not None:
                continue
            if lease.stack_id in stopped:
                live.halt(Halt.STOPPED)
            elif lease.stack_id in lost:
                live.halt(Halt.LEASE_LOST)
                self.observer(LeaseLost(stack=str(lease.stack_id), cause="the database says so"))
