"""The stream of changes: a walsender connection, its decoder, and the hand-over to the hub.

The slot is temporary: it goes with the connection, so nothing is kept for a server that is not there. Whenever the
stream breaks, subscribers are cut off too and rejoin once it stands again.
"""

from __future__ import annotations

import logging
import secrets
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import asyncpg
import psycopg
from psycopg.pq import abc

from minibase.postgres.endpoint import Endpoint, Login
from minibase.realtime import changes, pgoutput, stored
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.changes import POSTGRES_EPOCH, Layout, RowChange
from minibase.realtime.hub import Hub
from minibase.realtime.pgoutput import Begin, Commit, Delete, Insert, Relation, Update
from minibase.realtime.sessions import DatabaseUnavailableError, Session
from minibase.realtime.snapshots import Snapshot
from minibase.realtime.stored import StoredMessage

PUBLICATIONS = "supabase_realtime,supabase_realtime_messages_publication"
STATUS_SECONDS = 10  # well under half of wal_sender_timeout, which is 60 s
RETRY_SECONDS = (0.1, 0.2, 0.5, 1, 2)
BATCH_CHANGES = 256
BATCH_BYTES = 4 * 1024 * 1024
SETTLE_SECONDS = 0.002

# Values are formatted from this text, see `values`.
_SETTINGS = "-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1"
_XLOG_DATA, _KEEPALIVE = b"w", b"k"
_STATUS = struct.Struct(">cQQQqB")

logger = logging.getLogger(__name__)


class StreamEndedError(Exception):
    """The server ended the stream."""


_BROKEN = (
    psycopg.Error,
    OSError,
    StreamEndedError,
    pgoutput.DecodeError,
    DatabaseUnavailableError,
    asyncpg.PostgresError,
)


@dataclass(frozen=True, slots=True)
class _Row:
    """A changed row as the log has it. Most are never decoded: a busy database writes what nobody listens to."""

    layout: Layout
    data: bytes
    xid: int
    committed_at: str

    @property
    def is_message(self) -> bool:
        """A row of `realtime.messages` is a broadcast, and no change anybody subscribes to."""
        return stored.is_messages(self.layout.relation)

    def as_change(self) -> RowChange:
        """Raises DecodeError."""
        message = pgoutput.decode(self.data)
        assert isinstance(message, Insert | Update | Delete)
        return changes.from_message(
            message, self.layout, xid=self.xid, committed_at=self.committed_at, size=len(self.data)
        )

    def as_message(self) -> StoredMessage | None:
        """The broadcast that an insert into `realtime.messages` is. Raises DecodeError."""
        message = pgoutput.decode(self.data)
        if not isinstance(message, Insert):
            return None
        names = (column.name for column in self.layout.relation.columns)
        found = stored.from_row(dict(zip(names, message.new, strict=True)))
        if found is None:
            logger.debug("realtime: a row of realtime.messages without topic, event or payload was not broadcast")
        return found


class Reader:
    """Follows the log for as long as `run` runs."""

    def __init__(self, *, endpoint: Endpoint, catalogue: Catalogue, session: Session, hub: Hub) -> None:
        self._endpoint = endpoint
        self._catalogue = catalogue
        self._session = session
        self._hub = hub

    async def run(self) -> None:
        """Stream, and stream again after every interruption, until cancelled."""
        failures = 0
        while True:
            try:
                async with _open_stream(self._endpoint) as connection:
                    self._catalogue.forget_all()
                    self._hub.begin_streaming()
                    failures = 0
                    await _Stream(connection.pgconn, self._catalogue, self._session, self._hub).follow()
            except _BROKEN as error:
                logger.warning("realtime: the stream of changes broke off and is being reopened: %s", error)
            except Exception:
                # The API lives as long as this does: whatever is met here must not end it.
                logger.exception("realtime: the reader of changes broke and begins anew")
            finally:
                self._hub.end_streaming()
            await anyio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1


@asynccontextmanager
async def _open_stream(endpoint: Endpoint) -> AsyncIterator[psycopg.AsyncConnection]:
    connection = await psycopg.AsyncConnection.connect(
        endpoint.dsn(Login.ADMIN),
        autocommit=True,
        replication="database",
        application_name="minibase realtime",
        client_encoding="UTF8",
        options=_SETTINGS,
        connect_timeout=10,
        sslmode="disable",
    )
    try:
        slot = f"minibase_realtime_{secrets.token_hex(6)}"
        await connection.execute(f"CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT")
        await connection.execute(
            f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names '{PUBLICATIONS}')"
        )
        yield connection
    finally:
        # The protocol is in copy mode: there is nothing to say goodbye with.
        connection.pgconn.finish()


class _Stream:
    """One walsender connection's life."""

    def __init__(self, connection: abc.PGconn, catalogue: Catalogue, session: Session, hub: Hub) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._session = session
        self._hub = hub
        self._relations: dict[int, Relation] = {}
        self._transaction: Begin | None = None
        self._committed_at = ""
        self._handled = 0
        self._settled: int | None = None
        self._batch: list[_Row] = []
        self._batch_size = 0
        self._last_xid = self._first_lsn = self._last_lsn = 0

    async def follow(self) -> None:
        next_status = anyio.current_time()
        while True:
            if anyio.current_time() >= next_status:
                self._send_status()
                next_status = anyio.current_time() + STATUS_SECONDS
            with anyio.move_on_at(next_status):
                await anyio.wait_readable(self._connection.socket)
            self._connection.consume_input()
            await self._drain()

    async def _drain(self) -> None:
        """Handle all that has arrived, in batches: what arrives together is decided together."""
        while True:
            size, data = self._connection.get_copy_data(1)
            if size == 0:
                break
            if size < 0:
                raise StreamEndedError(self._connection.error_message.decode(errors="replace").strip() or "closed")
            await self._take(bytes(data))
            if len(self._batch) >= BATCH_CHANGES or self._batch_size >= BATCH_BYTES:
                await self._hand_over()
        await self._hand_over()

    async def _take(self, data: bytes) -> None:
        if data[:1] == _XLOG_DATA:
            await self._handle(data[25:])
        elif data[:1] == _KEEPALIVE:
            if self._transaction is None:
                self._handled = max(self._handled, int.from_bytes(data[1:9], "big"))
            if data[17]:
                await self._hand_over()
                self._send_status()

    async def _handle(self, data: bytes) -> None:
        oid = pgoutput.row_of(data)
        if oid is not None:
            await self._add(oid, data)
            return
        match message := pgoutput.decode(data):
            case Begin():
                self._transaction = message
                self._committed_at = changes.format_commit_time(message.committed_at)
            case Commit(end_lsn=end_lsn):
                self._transaction = None
                self._handled = max(self._handled, end_lsn)
            case Relation(oid=oid):
                self._relations[oid] = message
                self._catalogue.forget(oid)
                self._hub.forget_plans()
            case _:
                pass

    async def _add(self, oid: int, data: bytes) -> None:
        relation = self._relations.get(oid)
        if relation is None or self._transaction is None:
            raise StreamEndedError(f"a row of unknown relation {oid} or outside a transaction")
        self._last_xid, self._last_lsn = self._transaction.xid, self._transaction.final_lsn
        if not self._batch:
            self._first_lsn = self._last_lsn
        self._batch_size += len(data)
        layout = await self._catalogue.layout(relation)
        self._batch.append(_Row(layout, data, self._last_xid, self._committed_at))

    async def _hand_over(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._batch_size = self._batch, [], 0
        await self._settle({row.xid for row in batch})
        # Only now, when new queries see the rows: whoever subscribes after this moment needs no word of them.
        told = [message for row in batch if row.is_message and (message := row.as_message()) is not None]
        heard = {layout for layout in {row.layout for row in batch if not row.is_message} if self._hub.hears(layout)}
        rows = [row.as_change() for row in batch if row.layout in heard]
        logger.debug("realtime: of %d rows somebody may hear of %d", len(batch), len(rows) + len(told))
        self._hub.dispatch(rows, first_lsn=self._first_lsn, last_lsn=self._last_lsn)
        self._hub.tell(told)
        await anyio.lowlevel.checkpoint()

    async def _settle(self, xids: set[int]) -> None:
        """Wait until new queries see these transactions.

        A commit is streamed once it is on disk, an instant before it becomes visible, and of two commits the later one
        may become visible first; a subscriber, or a policy, that looked at the table in between would not find the row.
        """
        waiting = xids - {self._settled}
        while waiting:
            snapshot = Snapshot.parse(await self._session.fetch_value("select pg_current_snapshot()::text"))
            waiting = {xid for xid in waiting if not snapshot.sees(xid)}
            if waiting:
                await anyio.sleep(SETTLE_SECONDS)
        self._settled = self._last_xid

    def _send_status(self) -> None:
        """Let the server recycle the log up to what has been handed over. Sent when idle, too: others write as well."""
        now = int((time.time() - POSTGRES_EPOCH.timestamp()) * 1_000_000)
        position = self._handled
        self._connection.put_copy_data(_STATUS.pack(b"r", position, position, position, now, 0))
        self._connection.flush()
