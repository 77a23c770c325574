"""The breakers as operators see them: this worker's rows of ``model_breakers``, written when one opens or closes.

A reader of the facts like the log. No run waits for it, and a report that cannot be sent is only late: it always holds
all there is to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestrator.facts import BreakerClosed, BreakerOpened, Fact
from orchestrator.store import Store, StoreError

# A provider's outage opens several breakers within moments; they share one report.
BREATH_S = 0.2
AGAIN_S = 5.0


@dataclass(slots=True, kw_only=True)
class _Breaker:
    opened: BreakerOpened
    opened_at: float
    closed_at: float | None = None

    def as_wire(self, now: float) -> dict[str, Any]:
        opened = self.opened
        return {
            "provider": opened.provider,
            "model": opened.model,
            "state": "open" if self.closed_at is None else "closed",
            "failures": opened.failures,
            "opened_ms": round((now - self.opened_at) * 1_000),
            "rest_ms": round(opened.rest_s * 1_000),
            "closed_ms": None if self.closed_at is None else round((now - self.closed_at) * 1_000),
            "error": opened.error,
        }


@dataclass(slots=True, kw_only=True)
class Bulletin:
    """Give it the facts with ``observe``; ``run`` tells the database."""

    store: Store
    _breakers: dict[tuple[str, str], _Breaker] = field(default_factory=dict)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def observe(self, fact: Fact) -> None:
        """Take note of what opens and closes."""
        match fact:
            case BreakerOpened():
                self._breakers[fact.provider, fact.model] = _Breaker(opened=fact, opened_at=anyio.current_time())
            case BreakerClosed():
                known = self._breakers.get((fact.provider, fact.model))
                if known is None:
                    return
                known.closed_at = anyio.current_time()
            case _:
                return
        self._changed.set()

    async def run(self) -> None:
        """Report every change until cancelled."""
        while True:
            await self._changed.wait()
            await anyio.sleep(BREATH_S)
            self._changed = anyio.Event()
            now = anyio.current_time()
            try:
                await self.store.report_breakers([breaker.as_wire(now) for breaker in self._breakers.values()])
            except StoreError as error:
                self.store.report_away("report_breakers", error, AGAIN_S)
                self._changed.set()
                await anyio.sleep(AGAIN_S)
