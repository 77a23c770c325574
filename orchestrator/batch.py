"""Many small requests that come within a few milliseconds share one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one call may carry and how many calls may be under way."""

    items: int
    size: int
    calls: int = 4
    linger_s: float = 0.003
    waiting: int = 1_000


@dataclass(slots=True, kw_only=True, eq=False)
class _Ticket(Generic[T, R]):
    item: T
    count: int
    size: int
    done: anyio.Event = field(default_factory=anyio.Event)
    results: list[R] = field(default_factory=list)
    error: Exception | None = None


class Batcher(Generic[T, R]):
    """``submit`` waits for its own item's result, or raises what ``send`` raised; ``run`` gathers and sends.

    ``send`` gets the items of one call and returns one result each, in order. While all calls are under way items
    gather, so the batches grow by themselves under load; beyond ``waiting`` items ``submit`` waits to get in.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]], limits: Limits) -> None:
        self._send = send
        self._limits = limits
        self._slots = anyio.CapacityLimiter(limits.calls)
        self._inlet, self._outlet = anyio.create_memory_object_stream[_Ticket[T, R]](limits.waiting)

    async def submit(self, item: T, *, count: int = 1, size: int = 0) -> R:
        ticket: _Ticket[T, R] = _Ticket(item=item, count=count, size=size)
        await self._inlet.send(ticket)
        await ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    async def run(self) -> None:
        """Gather and send until cancelled."""
        carried: _Ticket[T, R] | None = None
        async with self._inlet, self._outlet, anyio.create_task_group() as group:
            while True:
                first = carried or await self._outlet.receive()
                if carried is None:
                    await anyio.sleep(self._limits.linger_s)
                # The slot first: what arrives while all calls are under way rides along.
                await self._slots.acquire_on_behalf_of(first)
                batch, carried = self._gather(first)
                self._start(group, batch)

    def _gather(self, first: _Ticket[T, R]) -> tuple[list[_Ticket[T, R]], _Ticket[T, R] | None]:
        batch, count, size = [first], first.count, first.size
        while count < self._limits.items and size < self._limits.size:
            try:
                ticket = self._outlet.receive_nowait()
            except anyio.WouldBlock:
                break
            count, size = count + ticket.count, size + ticket.size
            if count > self._limits.items or size > self._limits.size:
                return batch, ticket
            batch.append(ticket)
        return batch, None

    def _start(self, group: TaskGroup, batch: list[_Ticket[T, R]]) -> None:
        async def deliver() -> None:
            try:
                results = await self._send([ticket.item for ticket in batch])
                for ticket, result in zip(batch, results, strict=True):
                    ticket.results.append(result)
            except Exception as error:  # belongs to the submitters, not to this task
                for ticket in batch:
                    ticket.error = error
            finally:
                self._slots.release_on_behalf_of(batch[0])
            for ticket in batch:
                ticket.done.set()

        group.start_soon(deliver)
