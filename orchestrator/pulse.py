"""The heartbeat: keeps this worker's leases, and hears without any signal which stacks were stopped or lost."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from orchestrator.facts import LeaseLost, Observer
from orchestrator.fleet import Fleet, Halt
from orchestrator.store import Store, StoreError
from orchestrator.verbs import Lease, Pulse


@dataclass(slots=True, kw_only=True)
class Heart:
    """Beats every ``every_s`` under the worker's name; ``renewed_at`` is when the last answered beat set out."""

    store: Store
    fleet: Fleet
    observer: Observer
    name: str
    version: str
    every_s: float
    lease_ms: int
    renewed_at: float = float("-inf")

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
        set_out, leases = anyio.current_time(), self.fleet.leases()
        pulse = await self.store.heartbeat(
            leases,
            name=self.name,
            version=self.version,
            slots=self.fleet.slots,
            lease_ms=self.lease_ms,
            stopping=stopping,
        )
        self.renewed_at = set_out
        self._apply(leases, pulse)

    async def beat_if_late(self) -> None:
        """Beat now where live leases may have expired unnoticed; raises StoreError.

        After an outage, or a time in which this process stood still, its own stacks look like a dead worker's. A claim
        would take them over from their own runs, and the replies that these hold would be bought again.
        """
        if len(self.fleet) and anyio.current_time() - self.renewed_at > self.lease_ms / 2_000:
            await self.beat()

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
