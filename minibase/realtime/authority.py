"""Private channels: what the policies on `realtime.messages` let somebody hear and say.

They are asked by doing it: a row is inserted and looked at, or inserted, as that role and with those claims, in a
transaction that is rolled back. Nothing of it stays, and nothing of it is streamed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from uuid import UUID, uuid4

import asyncpg
import orjson

from minibase.realtime.catalogue import Catalogue
from minibase.realtime.joins import Replay
from minibase.realtime.messages import HEARD, PREFIX, Broadcast, Encoding, Extension
from minibase.realtime.sessions import Connection, Identity, SessionPool
from minibase.realtime.stored import StoredMessage, from_row
from minibase.realtime.tokens import Claims

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

NOBODY = frozenset[Extension]()
_REPLAY_SQL = (Path(__file__).parent.parent / "sql" / "queries" / "realtime_replay.sql").read_text(encoding="utf-8")

_WHERE = """
select set_config('realtime.topic', $1, true), set_config('request.jwt.claim.sub', $2, true),
    set_config('request.jwt.claim.role', $3, true), set_config('request.headers', '{}', true)
"""
_STORE = """
insert into realtime.messages (id, topic, extension, event, private, payload, binary_payload, expires_at)
values ($1, $2, 'broadcast', $3, true, $4::text::jsonb, $5::bytea, now() at time zone 'UTC' + make_interval(secs => $6))
"""
_STORES = Identity(role="service_role", claims='{"role": "service_role"}', time_limit="8s")
_PROBE = """
insert into realtime.messages (id, topic, extension, event, payload, private)
select unnest($1::uuid[]), $2, unnest($3::text[]), 'probe', '{}', true
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """What may be heard; `problem` is what a policy raised, if one did."""

    extensions: frozenset[Extension]
    problem: str | None = None


class Authority:
    """Asks as the API's login, which can become its roles and nothing more.

    Every method raises DatabaseUnavailableError when the server is gone.
    """

    def __init__(self, pool: SessionPool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue

    async def readable(self, claims: Claims, topic: str) -> Readable:
        """Which extensions of a private channel these claims may hear."""

        async def ask(connection: Connection) -> frozenset[Extension]:
            ids = {uuid4(): extension for extension in HEARD}
            # Anybody may be asked about, also who may not insert: the probe is written past all policies.
            await connection.execute("set local role service_role")
            await connection.execute(_PROBE, list(ids), name, list(ids.values()))
            await connection.execute("select set_config('role', $1, true)", claims.role)
            seen = await connection.fetch("select id from realtime.messages where id = any ($1::uuid[])", list(ids))
            return frozenset(ids[row["id"]] for row in seen)

        name = topic.removeprefix(PREFIX)
        try:
            return Readable(extensions=await self._try(claims, name, ask) or NOBODY)
        except asyncpg.PostgresError as error:
            return Readable(extensions=NOBODY, problem=str(error))

    async def writable(self, claims: Claims, topic: str, extension: Extension) -> bool:
        """Whether these claims may say something in a private channel."""

        async def insert(connection: Connection) -> bool:
            await connection.execute(_PROBE, [uuid4()], name, [extension])
            return True

        name = topic.removeprefix(PREFIX)
        try:
            return bool(await self._try(claims, name, insert))
        except asyncpg.PostgresError as error:
            logger.debug("realtime: role %s may not write %s to %s: %s", claims.role, extension, name, error)
            return False

    async def store(self, message_id: UUID, message: Broadcast, seconds: int) -> bool:
        """Keep a broadcast of a private channel for replays. Its sender may have it kept."""
        body = message.body.decode() if message.encoding is Encoding.JSON else None
        octets = message.body if body is None else None
        values = (message_id, message.topic.removeprefix(PREFIX), message.event, body, octets, float(seconds))
        try:
            async with self._pool.borrow(_STORES) as session:
                await session.fetch(_STORE, *values)
        except asyncpg.PostgresError as error:
            logger.warning("realtime: a broadcast to %s could not be stored: %s", message.topic, error)
            return False
        return True

    async def replay(self, topic: str, replay: Replay) -> list[StoredMessage]:
        """The newest broadcasts of a private channel since a moment, oldest first. The caller may hear them."""
        rows = await self._catalogue.fetch(_REPLAY_SQL, topic.removeprefix(PREFIX), replay.since_ms, replay.limit)
        found = (from_row(dict(row), replayed=True) for row in rows)
        return [message for message in found if message is not None]

    async def _try(self, claims: Claims, name: str, work: Work[T]) -> T | None:
        """What `work` finds as this role, before it is undone; None for a role that the API may not become."""
        access = await self._catalogue.messages_access(claims.role)
        if access is None:
            return None
        identity = Identity(role=claims.role, claims=claims.text, time_limit=access.time_limit)
        subject = orjson.loads(claims.text).get("sub")

        async def work_there(connection: Connection) -> T:
            await connection.execute(_WHERE, name, subject if isinstance(subject, str) else "", claims.role)
            return await work(connection)

        return await self._pool.ask(identity, lambda session: session.undo(work_there))
