"""Database sessions that stay open: one for the catalogue, a few that ask what a role may see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import anyio
import asyncpg

from minibase.postgres.endpoint import Endpoint, Login

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CONNECT_SECONDS = 10
QUERY_SECONDS = 15  # longer than any statement_timeout, for a server that does not answer at all
SLOW_SECONDS = 0.2  # a question that takes longer must not keep others waiting

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says where the server's last word crosses a question
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class DatabaseUnavailableError(Exception):
    """The database cannot be asked now. What was asked may be asked again later."""


@dataclass(slots=True)
class Pace:
    """How the last question of one asker went. Slow askers wait for each other, and nobody waits for them."""

    is_slow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom a question is asked: what policies see in `current_user` and `request.jwt.claims`. And at what pace."""

    role: str
    claims: str
    time_limit: str
    pace: Pace = field(default_factory=Pace, compare=False)


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


class GaveWayError(Exception):
    """A question that took long was interrupted for others; it is to be asked again among its like."""


@dataclass(slots=True, kw_only=True)
class _Permit:
    """The right to use one session, out of those for quick questions or of those for slow ones."""

    held: anyio.Semaphore

    def move(self, other: anyio.Semaphore) -> bool:
        """Hold one of the others instead; False if there is none."""
        if other is self.held:
            return True
        try:
            other.acquire_nowait()
        except anyio.WouldBlock:
            return False
        self.held.release()
        self.held = other
        return True


class SessionPool:
    """A few sessions signed in as `authenticator`; who asks next gets one that already is whom it needs, if idle.

    There are as many again for questions that take long. One that turns out to be such moves over, or gives way where
    they are all taken, and its asker asks there until an answer comes quickly: slow policies do not take the sessions
    that others are waiting for.
    """

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        self._idle = [Session(lambda: connect(endpoint, Login.API)) for _ in range(2 * size)]
        self._quick, self._slow = anyio.Semaphore(size), anyio.Semaphore(size)

    async def ask(self, identity: Identity, question: Callable[[Session], Awaitable[T]]) -> T:
        """What `question` finds. It may be put again, so it changes nothing."""
        while True:
            try:
                async with self.borrow(identity, gives_way=True) as session:
                    return await question(session)
            except GaveWayError:
                continue

    @asynccontextmanager
    async def borrow(self, identity: Identity, *, gives_way: bool = False) -> AsyncIterator[Session]:
        """A session that is this identity. GaveWayError if it `gives_way` and took long while others waited."""
        async with self._permitted(identity.pace, gives_way=gives_way):
            session = next((idle for idle in self._idle if idle.identity == identity), self._idle[0])
            self._idle.remove(session)
            try:
                await session.assume(identity)
                yield session
            finally:
                self._idle.append(session)

    @asynccontextmanager
    async def _permitted(self, pace: Pace, *, gives_way: bool) -> AsyncIterator[None]:
        permit = _Permit(held=self._slow if pace.is_slow else self._quick)
        await permit.held.acquire()
        started = anyio.current_time()
        with anyio.CancelScope() as scope:

            def move_over() -> None:
                if not permit.move(self._slow) and gives_way:
                    scope.cancel()

            timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, move_over)
            try:
                yield
            finally:
                timer.cancel()
                pace.is_slow = anyio.current_time() - started > SLOW_SECONDS
                permit.held.release()
        if scope.cancelled_caught:
            raise GaveWayError

    async def close(self) -> None:
        for session in self._idle:
            await session.close()
