"""The API ends when its catalogue's watch or its reader of changes does: neither may, whatever it meets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from minibase.realtime import reader
from minibase.realtime.reader import Reader
from minibase.rest.database import watch
from minibase.rest.database.watch import CatalogueWatch

UNEXPECTED = (RuntimeError("the descriptor belongs to somebody else"), anyio.BusyResourceError("reading"), KeyError(7))


class Hub:
    """What a reader tells the hub."""

    def __init__(self) -> None:
        self.ended = 0

    def end_streaming(self) -> None:
        self.ended += 1


class Attempts:
    """Each of the first attempts meets one of the unexpected; the one after them holds."""

    def __init__(self) -> None:
        self._left = list(UNEXPECTED)
        self._held = anyio.Event()

    async def make(self) -> None:
        if self._left:
            raise self._left.pop(0)
        self._held.set()
        await anyio.sleep_forever()

    async def until_held(self, run: Callable[[], Awaitable[None]]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            with anyio.fail_after(10):
                await self._held.wait()
            group.cancel_scope.cancel()


async def test_the_catalogues_watch_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = Attempts()

    async def open_connection(dsn: str) -> None:
        await attempts.make()

    monkeypatch.setattr(watch.Connection, "open", open_connection)
    with caplog.at_level(logging.ERROR):
        await attempts.until_held(CatalogueWatch("postgresql://nowhere", ["public"]).run)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == list(UNEXPECTED)


async def test_the_reader_of_changes_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = Attempts()

    @asynccontextmanager
    async def open_stream(endpoint: Any) -> AsyncIterator[None]:
        await attempts.make()
        yield

    hub: Any = Hub()
    nothing: Any = None
    monkeypatch.setattr(reader, "_open_stream", open_stream)
    monkeypatch.setattr(reader, "RETRY_SECONDS", (0.01,))
    with caplog.at_level(logging.ERROR):
        await attempts.until_held(Reader(endpoint=nothing, catalogue=nothing, session=nothing, hub=hub).run)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == list(UNEXPECTED)
    assert hub.ended == len(UNEXPECTED) + 1, "sockets are closed each time, so that clients rejoin"
