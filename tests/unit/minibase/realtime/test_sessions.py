"""A session whose connection breaks says that the database is away, and opens another one for the next question."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from minibase.realtime.sessions import DatabaseUnavailableError, Session


class Connection:
    """Raises what it is given, else answers with one row."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.ended = False

    async def fetch(self, *_: Any) -> list[tuple[str]]:
        if self._error is not None:
            raise self._error
        return [("fine",)]

    def is_closed(self) -> bool:
        return self.ended

    def terminate(self) -> None:
        self.ended = True

    async def close(self, *_: Any, **__: Any) -> None:
        self.ended = True


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.InterfaceError("the underlying connection is closed"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_broken_connection_is_a_database_that_is_away_for_now(error: Exception) -> None:
    connections = [Connection(error), Connection(None)]

    async def open_connection() -> Any:
        return connections.pop(0)

    session = Session(open_connection)
    with pytest.raises(DatabaseUnavailableError):
        await session.fetch_value("select 1")
    assert await session.fetch_value("select 1") == "fine"
