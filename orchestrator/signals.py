"""Signals: realtime changes of ``agent_stacks`` become wakes, and stops reach model calls at once.

A signal is a hint: it may be lost or doubled, the timer and the heartbeat find everything without it. The client gives
up after some attempts and is not trusted to come back, so each connection gets a client of its own, and the supervisor
builds the next one, for ever.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent, RealtimeSubscribeStates
from realtime.types import PostgresChangesPayload

from orchestrator.facts import Observer, SignalsDown, SignalsUp
from orchestrator.fleet import Fleet, Halt
from orchestrator.wake import Wake

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
JOIN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


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
        client = AsyncRealtimeClient(f"{self.url.rstrip('/')}/realtime/v1", self.key, auto_reconnect=False)
        ended, reason = anyio.Event(), ["the connection ended"]

        def on_state(state: RealtimeSubscribeStates, error: Exception | None) -> None:
            if state == RealtimeSubscribeStates.SUBSCRIBED:
                self.observer(SignalsUp())
                self.wake.ring("signals up")  # whatever changed while nobody listened
            else:
                reason[0] = f"{state.value}: {error}" if error else state.value
                ended.set()

        try:
            with anyio.move_on_after(JOIN_TIMEOUT_S) as joining:
                channel = client.channel("stackbeat-orchestrator")
                channel.on_postgres_changes(
                    RealtimePostgresChangesListenEvent.All, self._heard, table="agent_stacks", schema="public"
                )
                # Where the server subscribes after the join's answer, this says that it now stands.
                channel.on_system(lambda _: self.wake.ring("signals up"))
                await channel.subscribe(on_state)
            if joining.cancelled_caught:
                return f"no answer to the join within {JOIN_TIMEOUT_S:g} s"
            await ended.wait()
            return reason[0]
        except Exception as error:  # the client raises bare Exceptions, its transport's and its own
            return str(error) or type(error).__name__
        finally:
            await _close(client)

    def _heard(self, payload: PostgresChangesPayload) -> None:
        signal = read_signal(payload)
        if signal is not None:
            apply_signal(signal, self.fleet, self.wake)


async def _close(client: AsyncRealtimeClient) -> None:
    """Close also while we are being cancelled, but never hang on a dead peer."""
    with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
        for channel in client.get_channels():
            channel.rejoin_timer.reset()
            channel.join_push.destroy()
        await client.close()
