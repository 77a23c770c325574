"""One connection on which a whole transaction travels as one message.

libpq's pipeline mode sends BEGIN, the caller's role and claims, the statement and COMMIT together and reads the answers
together: one round trip, and still every value is a bound parameter. Values and parameters are text, so that Postgres
finds their types by itself, exactly as for literals, and nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

from minibase.rest.problems import DatabaseReport

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

# Statements a connection keeps prepared; the oldest makes room.
PREPARED_STATEMENTS: Final = 256
# How long a server may take to answer a new connection.
CONNECT_SECONDS: Final = 10

Row = tuple[bytes | None, ...]


class DatabaseError(Exception):
    """Postgres refused a statement."""

    def __init__(self, report: DatabaseReport) -> None:
        super().__init__(report.message)
        self.report = report


class DatabaseAwayError(Exception):
    """There is no connection to be had, or it broke."""


@dataclass(frozen=True, slots=True)
class Message:
    """One statement of a batch."""

    text: str
    parameters: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An answer still to come: whether the caller wants its rows, and which text it prepares."""

    wanted: bool
    preparing: str | None = None


ROLLBACK: Final = Message("rollback")
_QUERY: Final = _Awaited(True)
_HOUSEKEEPING: Final = _Awaited(False)


class Connection:
    """Belongs to one request at a time; after an exception other than DatabaseError it must be closed."""

    def __init__(self, opened: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self._opened = opened
        self._pgconn: PGconn = opened.pgconn
        self._names: dict[str, bytes] = {}
        self._counter = 0

    @staticmethod
    async def open(dsn: str) -> Connection:
        """Connect. Raises DatabaseAwayError with the reason."""
        try:
            opened = await psycopg.AsyncConnection.connect(
                dsn,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                client_encoding="utf8",
                application_name="minibase rest",
            )
            opened.pgconn.notice_handler = None
            opened.pgconn.notify_handler = None
            opened.pgconn.enter_pipeline_mode()  # refused by a session that its server has ended already
        except psycopg.Error as error:
            raise DatabaseAwayError(str(error).strip()) from error
        return Connection(opened)

    @property
    def usable(self) -> bool:
        """Whether the server is still there, as far as can be told without waiting."""
        if self._pgconn.status != ConnStatus.OK:
            return False
        try:
            # A server that ended the session says why first; only the second look finds the end.
            self._pgconn.consume_input()
            self._pgconn.consume_input()
        except psycopg.Error:
            return False
        return self._pgconn.transaction_status == TransactionStatus.IDLE

    async def close(self) -> None:
        await self._opened.close()

    async def run(self, messages: Sequence[Message]) -> list[list[Row]]:
        """Send all messages at once and return each one's rows.

        Raises DatabaseError for the first that fails, when no later one has run; DatabaseAwayError when the
        connection breaks, in which case nobody knows how far the server got.
        """
        try:
            return await self._exchange(messages)
        except (psycopg.Error, OSError) as error:
            raise DatabaseAwayError(str(error).strip()) from error

    async def settle(self) -> None:
        """End a transaction that an error left open."""
        if self._pgconn.transaction_status != TransactionStatus.IDLE:
            await self.run([ROLLBACK])

    async def wait_for_notification(self) -> None:
        """Return once at least one notification has come; all that have are taken."""
        try:
            while not self._take_notifications():
                await anyio.wait_readable(self._pgconn.socket)
                self._pgconn.consume_input()
        except (psycopg.Error, OSError) as error:
            raise DatabaseAwayError(str(error).strip()) from error

    def _take_notifications(self) -> bool:
        taken = False
        while self._pgconn.notifies() is not None:
            taken = True
        return taken

    async def _exchange(self, messages: Sequence[Message]) -> list[list[Row]]:
        expected: list[_Awaited] = []
        for message in messages:
            self._send(message, expected)
        self._pgconn.pipeline_sync()
        await self._flush()
        return await self._collect(expected)

    def _send(self, message: Message, expected: list[_Awaited]) -> None:
        """Queue one message, preparing it first where this connection has not seen it; note what will be answered."""
        name = self._names.pop(message.text, None)
        if name is None:
            self._make_room(expected)
            self._counter += 1
            name = b"s%d" % self._counter
            self._pgconn.send_prepare(name, message.text.encode())
            expected.append(_Awaited(False, message.text))
        self._names[message.text] = name
        self._pgconn.send_query_prepared(name, message.parameters)
        expected.append(_QUERY)

    def _make_room(self, expected: list[_Awaited]) -> None:
        """Forget the statement that was not used for longest."""
        if len(self._names) >= PREPARED_STATEMENTS:
            oldest = self._names.pop(next(iter(self._names)))
            self._pgconn.send_query_params(b"deallocate " + oldest, None)
            expected.append(_HOUSEKEEPING)

    async def _flush(self) -> None:
        while self._pgconn.flush():
            # The server may be waiting for us to read before it reads on.
            try:
                async with anyio.create_task_group() as waits:
                    waits.start_soon(self._wait_writable, waits.cancel_scope)
                    waits.start_soon(self._wait_readable, waits.cancel_scope)
            except ExceptionGroup as group:  # the server has gone: one of the two says so, or both
                raise group.exceptions[0] from group

    async def _wait_writable(self, scope: anyio.CancelScope) -> None:
        await anyio.wait_writable(self._pgconn.socket)
        scope.cancel()

    async def _wait_readable(self, scope: anyio.CancelScope) -> None:
        await anyio.wait_readable(self._pgconn.socket)
        self._pgconn.consume_input()
        scope.cancel()

    async def _collect(self, expected: Sequence[_Awaited]) -> list[list[Row]]:
        answers: list[list[Row]] = []
        failure: DatabaseReport | None = None
        for awaited in expected:
            result = await self._next_result()
            if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                if awaited.wanted:
                    answers.append(_rows(result))
                continue
            if awaited.preparing is not None:
                self._names.pop(awaited.preparing, None)
            if result.status != ExecStatus.PIPELINE_ABORTED:
                failure = failure or _report(result)
        await self._expect_sync()
        if failure:
            raise DatabaseError(failure)
        return answers

    async def _next_result(self) -> PGresult:
        """The result of one message; the null behind it is taken too."""
        result = await self._read_result()
        if result is None:
            raise psycopg.OperationalError("the server sent no result")
        while await self._read_result() is not None:
            pass
        return result

    async def _expect_sync(self) -> None:
        result = await self._read_result()
        if result is None or result.status != ExecStatus.PIPELINE_SYNC:
            raise psycopg.OperationalError("the pipeline lost its synchronisation point")

    async def _read_result(self) -> PGresult | None:
        while self._pgconn.is_busy():
            await anyio.wait_readable(self._pgconn.socket)
            self._pgconn.consume_input()
        return self._pgconn.get_result()


def _rows(result: PGresult) -> list[Row]:
    return [tuple(result.get_value(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]


def _report(result: PGresult) -> DatabaseReport:
    def text(field: DiagnosticField) -> str | None:
        value = result.error_field(field)
        return value.decode(errors="replace") if value is not None else None

    return DatabaseReport(
        sqlstate=text(DiagnosticField.SQLSTATE) or "XX000",
        message=text(DiagnosticField.MESSAGE_PRIMARY) or result.error_message.decode(errors="replace"),
        detail=text(DiagnosticField.MESSAGE_DETAIL),
        hint=text(DiagnosticField.MESSAGE_HINT),
    )
