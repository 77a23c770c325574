"""Database sessions that stay open: one for the catalogue, a few that ask what a role may see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import anyio
import asyncpg

from minibase.postgres.endpoint import Endpoint, Login

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CONNECT_SECONDS = 10
QUERY_SECONDS = 15  # longer than any statement_timeout, for a server that does not answer at all

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class DatabaseUnavailableError(Exception):
    """The database cannot be asked now. What was asked may be asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom a question is asked: what policies see in `current_user` and `request.jwt.claims`."""

    role: str
    claims: str
    time_limit: str


async def connect(endpoint: Endpoint, role: Login) -> Connection:
    connection: Connection = await asyncpg.connect(
        host=endpoint.host,
        port=endpoint.port,
        user=role.value,
        password=endpoint.passwords[role],
        database=endpoint.database,
        ssl=False,
        timeout=CONNECT_SECONDS,
        command_timeout=QUERY_SECONDS,
        server_settings={"application_name": "minibase realtime", "TimeZone": "UTC", "DateStyle": "ISO, YMD"},
    )
    return connection


class Session:
    """One connection, opened when first needed and again after it broke; one question at a time."""

    def __init__(self, open_connection: Callable[[], Awaitable[Connection]]) -> None:
        self._open = open_connection
        self._connection: Connection | None = None
        self._lock = anyio.Lock()
        self.identity: Identity | None = None

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows; DatabaseUnavailableError if the server is gone, asyncpg.PostgresError if it refuses."""
        async with self._connection_for_one() as connection:
            return await connection.fetch(sql, *arguments)

    async def undo(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` returns from inside a transaction that is rolled back; refusals as in `fetch`."""
        async with self._connection_for_one() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                found = await work(connection)
            except asyncpg.PostgresError:
                await transaction.rollback()
                raise
            except BaseException:
                # Given up half-way, perhaps without a chance to wait for the rollback: the connection goes instead.
                await self.close()
                raise
            await transaction.rollback()
            return found

    @asynccontextmanager
    async def _connection_for_one(self) -> AsyncIterator[Connection]:
        async with self._lock:
            try:
                yield await self._connected()
            except asyncpg.QueryCanceledError:
                raise  # a statement_timeout is the question's fault, not the server's
            except _LOST as error:
                await self.close()
                raise DatabaseUnavailableError(str(error) or type(error).__name__) from error

    async def fetch_value(self, sql: str, *arguments: Any) -> Any:
        (row,) = await self.fetch(sql, *arguments)
        return row[0]

    async def assume(self, identity: Identity) -> None:
        """Become this role with these claims, unless the session is that already."""
        if self.identity == identity and self._connection is not None and not self._connection.is_closed():
            return
        self.identity = None
        await self.fetch(
            "select set_config('role', $1, false), set_config('request.jwt.claims', $2, false), "
            "set_config('statement_timeout', $3, false)",
            identity.role,
            identity.claims,
            identity.time_limit,
        )
        self.identity = identity

    async def close(self) -> None:
        """Drop the connection; the next question opens another."""
        connection, self._connection, self.identity = self._connection, None, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self.identity = None
            self._connection = await self._open()
        return self._connection


class SessionPool:
    """A few sessions signed in as `authenticator`; who asks next gets one that already is whom it needs, if idle."""

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        self._idle = [Session(lambda: connect(endpoint, Login.API)) for _ in range(size)]
        self._free = anyio.Semaphore(size)

    @asynccontextmanager
    async def borrow(self, identity: Identity) -> AsyncIterator[Session]:
        async with self._free:
            session = next((idle for idle in self._idle if idle.identity == identity), self._idle[0])
            self._idle.remove(session)
            try:
                await session.assume(identity)
                yield session
            finally:
                self._idle.append(session)

    async def close(self) -> None:
        for session in self._idle:
            await session.close()
