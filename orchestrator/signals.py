"""Signals: realtime changes of ``agent_stacks`` become wakes, and stops reach model calls at once.

A signal is a hint: it may be lost or doubled, the timer and the heartbeat find everything without it. When a connection
ends, the next one is built, for ever.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio
from realtime import RealtimePostgresChangesListenEvent
from realtime.types import PostgresChangesPayload

from orchestrator.facts import Observer, SignalsDown, SignalsUp
from orchestrator.fleet import Fleet, Halt
from orchestrator.hearing import Ears, hear
from orchestrator.wake import Wake

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One change of a stack's row; ``execution_state`` is None for a deleted stack."""

    stack_id: UUID
    execution_state: str | None
    changed_at: datetime | None


def read_signal(payload: PostgresChangesPayload) -> Signal | None:
    """A change message as a Signal, or None where it says nothing usable (rows cut short by the server)."""
    data = payload["data"]
    deleted = data["type"] == RealtimePostgresChangesListenEvent.Delete
    row: dict[str, Any] = (data.get("old_record") if deleted else data.get("record")) or {}
    try:
        return Signal(
            stack_id=UUID(str(row["id"])),
            execution_state=None if deleted else str(row["execution_state"]),
            changed_at=datetime.fromisoformat(row["updated_at"]) if row.get("updated_at") else None,
        )
    except (KeyError, ValueError):
        return None


def apply_signal(signal: Signal, fleet: Fleet, wake: Wake) -> None:
    """Ring for what may be due, halt what was stopped. A stop older than the claim is history and changes nothing."""
    live = fleet.get(signal.stack_id)
    if signal.execution_state is None:
        if live is not None:
            live.halt(Halt.DELETED)
    elif signal.execution_state == "running":
        wake.ring("signal")
    elif signal.execution_state == "stopped" and live is not None:
        newer = signal.changed_at is None or signal.changed_at >= live.claimed_at
        if newer:
            live.halt(Halt.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Listens until cancelled, whatever happens to the socket."""

    url: str
    key: str
    fleet: Fleet
    wake: Wake
    observer: Observer

    async def run(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            started = anyio.current_time()
            error = await self._listen_once()
            if anyio.current_time() - started > LONGEST_WAIT_S:
                wait = FIRST_WAIT_S
            self.observer(SignalsDown(error=error, retry_s=wait))
            await anyio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(LONGEST_WAIT_S, wait * 2)

    async def _listen_once(self) -> str:
        """One connection from its join to its end; returns why it ended."""

        def on_join() -> None:
            self.observer(SignalsUp())
            self.wake.ring("signals up")  # whatever changed while nobody listened

        ears = Ears(
            topic="stackbeat-orchestrator",
            tables=("agent_stacks",),
            heard=self._heard,
            joined=on_join,
            stands=lambda: self.wake.ring("signals up"),
        )
        return await hear(self.url, self.key, ears)

    def _heard(self, payload: PostgresChangesPayload) -> None:
        signal = read_signal(payload)
        if signal is not None:
            apply_signal(signal, self.fleet, self.wake)
