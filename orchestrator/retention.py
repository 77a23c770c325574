"""Growth stays bounded: old traces, runs and ledger rows are deleted, a small batch at a time, without being asked."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from orchestrator.config import Retention
from orchestrator.facts import Observer, Pruned
from orchestrator.store import Store, StoreError

BATCH = 2_000
BREATH_S = 0.2
"""Between two batches, so that clearing a backlog never keeps the database from its beat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """Prunes at the start and then every ``retention.every_s``; several daemons may, what one deleted is gone."""

    store: Store
    retention: Retention
    observer: Observer

    async def run(self) -> None:
        """Sweep until cancelled; a sweep that fails is a fact, the next one makes up for it."""
        while True:
            try:
                await self.sweep()
            except StoreError as error:
                self.store.report_away("prune", error, self.retention.every_s)
            await anyio.sleep(self.retention.every_s)

    async def sweep(self) -> None:
        """Delete everything that is too old; raises StoreError."""
        while True:
            pruned = await self.store.prune(
                traces_days=self.retention.traces_days,
                runs_days=self.retention.runs_days,
                calls_days=self.retention.calls_days,
                most=BATCH,
            )
            if any(pruned.deleted.values()):
                self.observer(Pruned(deleted=pruned.deleted))
            if max(pruned.deleted.values(), default=0) < BATCH:
                return
            await anyio.sleep(BREATH_S)
