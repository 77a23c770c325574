"""The heartbeat: keeps this worker's leases, and hears without any signal which stacks were stopped or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import anyio

from orchestrator.facts import LeaseLost, Observer
from orchestrator.fleet import Fleet, Halt
from orchestrator.store import Store, StoreError
from orchestrator.verbs import Lease, Pulse


@dataclass(slots=True, kw_only=True)
class Heart:
    """Beats every ``every_s`` under the worker's name.

    ``renewed_at`` is the database's time of the last beat that renewed every lease this worker had. A claim carries
    it, so that stacks at work here are not taken for a dead worker's when an outage outlives their leases.
    """

    store: Store
    fleet: Fleet
    observer: Observer
    name: str
    version: str
    every_s: float
    lease_ms: int
    renewed_at: datetime | None = None
    _claiming: bool = False

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """While a claim is under way, and until its stacks are in the fleet, no beat can name all leases."""
        self._claiming = True
        try:
            yield
        finally:
            self._claiming = False

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
        leases, complete = self.fleet.leases(), not self._claiming
        pulse = await self.store.heartbeat(
            leases,
            name=self.name,
            version=self.version,
            slots=self.fleet.slots,
            lease_ms=self.lease_ms,
            stopping=stopping,
        )
        if complete and pulse.renewed + len(pulse.lost) == len(leases):
            self.renewed_at = pulse.now
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
