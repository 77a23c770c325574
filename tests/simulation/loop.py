"""An event loop whose time is made, not measured: when nothing is ready, the clock jumps to the next timer.

What runs in it runs in one order, the order in which it was scheduled. Tasks belong to an *owner* (a context variable
that child tasks inherit), and an owner can be frozen: like a process that was sent SIGSTOP, nothing of it moves,
neither its ready tasks nor its timers, until it is thawed; the world around it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio._backends._asyncio as anyio_tasks
import pytest

import orchestrator.fleet


class Owner:
    """Somebody whose tasks freeze and thaw together."""

    def __init__(self) -> None:
        self.frozen = False
        self.held: list[asyncio.Handle] = []


OWNER: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("owner", default=None)


class StuckError(Exception):
    """Nothing is ready and no timer is set: every task waits for something that can never happen."""


class _Clock(selectors.DefaultSelector):
    """Sleeping is moving the clock. No file descriptor ever becomes ready here."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError(f"at {self.now:.3f} s nothing is left that could wake anybody")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Clock()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        owner = context.get(OWNER)
        if owner is None or not owner.frozen:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        owner.held.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        owner = context.get(OWNER)
        if owner is None:
            return super().call_at(when, callback, *args, context=context)

        def ring() -> None:
            if owner.frozen:
                owner.held.append(timer)
            else:
                callback(*args)

        timer = super().call_at(when, ring, context=context)
        return timer

    def freeze(self, owner: Owner) -> None:
        owner.frozen = True

    def thaw(self, owner: Owner) -> None:
        """Everything that became due meanwhile runs now, in the order in which it did."""
        owner.frozen = False
        held, owner.held = owner.held, []
        self._ready.extend(handle for handle in held if not handle.cancelled())


class _OrderedSet(dict[Any, None]):
    """Enough of a set for anyio's bookkeeping; iterates in the order of insertion, not of memory addresses."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)

    def remove(self, item: Any) -> None:
        del self[item]


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop on which one program has one history; closed at the end."""
    loop = VirtualLoop()
    with pytest.MonkeyPatch.context() as patch:
        # Both iterate over sets of objects when they cancel; a set's order depends on where its objects lie in memory.
        patch.setattr(anyio_tasks, "set", _OrderedSet, raising=False)
        patch.setattr(orchestrator.fleet, "set", _OrderedSet, raising=False)
        try:
            yield loop
        finally:
            loop.close()
