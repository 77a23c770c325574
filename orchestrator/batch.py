"""Many small requests that come in one turn of the event loop, or while a call is under way, share one call."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one call may carry, how many calls may be under way, and how long the next one waits for the last."""

    items: int
    size: int
    calls: int = 4
    waiting: int = 1_000
    patience_s: float = 0.005


@dataclass(slots=True, kw_only=True, eq=False)
class _Ticket(Generic[T, R]):
    item: T
    count: int
    size: int
    since: float = field(default_factory=anyio.current_time)
    done: anyio.Event = field(default_factory=anyio.Event)
    results: list[R] = field(default_factory=list)
    error: Exception | None = None


class Batcher(Generic[T, R]):
    """``submit`` waits for its own item's result, or raises what ``send`` raised; ``run`` gathers and sends.

    ``send`` gets the items of one call and returns one result each, in order. While a call is under way items gather,
    for ``patience_s`` or until they fill a call of their own, and while all calls are, however long that takes; so the
    batches grow by themselves under load. Beyond ``waiting`` unanswered ones ``submit`` waits to get in.
    """

    def __init__(self, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]], limits: Limits) -> None:
        self._send = send
        self._limits = limits
        self._calls = anyio.CapacityLimiter(limits.calls)
        self._room = anyio.Semaphore(limits.waiting)
        self._waiting: deque[_Ticket[T, R]] = deque()
        self._gathered = 0  # what those count
        self._arrived = anyio.Event()
        self._moved = anyio.Event()
        self._unanswered: dict[_Ticket[T, R], None] = {}  # in the order of their coming

    def oldest_s(self) -> float:
        """How long the oldest item has been waiting for its result; 0 while there is none."""
        oldest = next(iter(self._unanswered), None)
        return 0.0 if oldest is None else anyio.current_time() - oldest.since

    async def submit(self, item: T, *, count: int = 1, size: int = 0) -> R:
        ticket: _Ticket[T, R] = _Ticket(item=item, count=count, size=size)
        self._unanswered[ticket] = None
        try:
            await self._enter()
            try:
                self._waiting.append(ticket)
                self._gathered += count
                self._arrived.set()
                if self._full:
                    self._moved.set()
                await ticket.done.wait()
            finally:
                self._room.release()
        finally:
            del self._unanswered[ticket]
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    async def _enter(self) -> None:
        try:
            self._room.acquire_nowait()  # mostly; its ticket is waited for in any case
        except anyio.WouldBlock:
            await self._room.acquire()

    async def run(self) -> None:
        """Gather and send until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                if not self._waiting:
                    self._arrived = anyio.Event()
                    await self._arrived.wait()
                    await anyio.lowlevel.checkpoint()  # whoever else has something to say now rides along, too
                await self._wait_for_company()
                # A call's slot first: what arrives while all calls are under way rides along.
                await self._calls.acquire_on_behalf_of(self._waiting[0])
                self._start(group, self._gather())

    @property
    def _full(self) -> bool:
        return self._gathered >= self._limits.items

    async def _wait_for_company(self) -> None:
        """Return when the call before is back, which is mostly soon, or when it is not worth waiting for any longer."""
        with anyio.CancelScope(deadline=self._waiting[0].since + self._limits.patience_s):
            while self._calls.borrowed_tokens and not self._full:
                self._moved = anyio.Event()
                await self._moved.wait()

    def _gather(self) -> list[_Ticket[T, R]]:
        first = self._waiting.popleft()
        batch, count, size = [first], first.count, first.size
        while self._waiting:
            count, size = count + self._waiting[0].count, size + self._waiting[0].size
            if count > self._limits.items or size > self._limits.size:
                break
            batch.append(self._waiting.popleft())
        self._gathered -= sum(ticket.count for ticket in batch)
        return batch

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
                self._calls.release_on_behalf_of(batch[0])
                self._moved.set()
            for ticket in batch:
                ticket.done.set()

        group.start_soon(deliver)
