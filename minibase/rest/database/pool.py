"""A bounded set of connections as `authenticator`, and a bounded wait for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from minibase.rest.database.connection import Connection, DatabaseAwayError, DatabaseError
from minibase.rest.errors import RestError, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """`patience`: seconds a request waits for a free connection before it is told to come back later."""

    size: int = 16
    patience: float = 10


class Pool:
    """Opens connections when they are needed, keeps them, and replaces those that broke."""

    def __init__(self, dsn: str, limits: PoolLimits) -> None:
        self._dsn = dsn
        self._limits = limits
        self._places = anyio.Semaphore(limits.size, fast_acquire=True)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection with no transaction open.

        Raises RestError PGRST003 after `patience` seconds, PGRST000 when the database cannot be reached.
        A connection whose user left in the middle of something is closed rather than reused.
        """
        await self._take_place()
        try:
            connection = await self._take()
            intact = False
            try:
                yield connection
                intact = True
            except (RestError, DatabaseError):
                intact = True
                raise
            finally:
                await self._give_back(connection, intact=intact)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close what is idle; lent connections close when they come back."""
        while self._idle:
            await self._idle.pop().close()

    async def _take_place(self) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(self._limits.patience) as waited:
                await self._places.acquire()
            if waited.cancelled_caught:
                raise refuse(504, "PGRST003", "Timed out acquiring connection from connection pool.") from None

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            await connection.close()
        try:
            return await Connection.open(self._dsn)
        except DatabaseAwayError as error:
            raise refuse(
                503,
                "PGRST000",
                "Could not connect with the database. Is Postgres running? The next request tries again.",
                str(error),
                headers={"Retry-After": "1"},
            ) from error

    async def _give_back(self, connection: Connection, *, intact: bool) -> None:
        if intact and connection.usable:
            self._idle.append(connection)
        else:
            await connection.close()
