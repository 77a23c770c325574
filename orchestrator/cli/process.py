"""Running the asynchronous commands: one event loop, ended by a signal, with errors told once."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import click


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
        anyio.run(main, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise first_for_people(group) from group


def first_for_people(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first click error inside a group, at any depth, else the group itself."""
    found, _ = group.split(click.ClickException)
    error: BaseException = found if found is not None else group
    while isinstance(error, BaseExceptionGroup) and found is not None:
        error = error.exceptions[0]
    return error


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()
