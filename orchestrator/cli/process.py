"""Running the asynchronous commands: one event loop, ended by a signal, with errors told once."""

from __future__ import annotations

import gc
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import click

from orchestrator.groups import leaves

# New objects before a look for cycles. One claim of a hundred stacks makes some 50,000, none of them in a cycle.
GC_NEW_OBJECTS = 50_000
GC_OLDER = (20, 20)


def run_until_signal(function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run to the end, or until SIGINT, SIGTERM or SIGHUP, which are a normal end.

    Of several failures at once the first that is meant for people is raised.
    """

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
            await function(*arguments)
            tasks.cancel_scope.cancel()

    try:
        with calm_gc():
            anyio.run(main, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise first_for_people(group) from group


@contextmanager
def calm_gc() -> Iterator[None]:
    """Collect cycles rarely, and never walk what is loaded already; back to the old settings afterwards.

    Snapshots are trees and go by their reference counts. With Python's defaults the collector walks the whole program
    again and again while they are built: a quarter of the daemon's CPU.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_NEW_OBJECTS, *GC_OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def first_for_people(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first click error inside a group, at any depth, else the group itself."""
    return next((error for error in leaves(group) if isinstance(error, click.ClickException)), group)


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
