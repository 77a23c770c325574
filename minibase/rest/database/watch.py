"""Keeps the catalogue: loads it, and loads it again whenever `NOTIFY pgrst` says that the schema changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import anyio
import orjson

from minibase.rest.catalogue.assemble import CatalogueRows, assemble
from minibase.rest.catalogue.values import Catalogue
from minibase.rest.database.connection import Connection, DatabaseAwayError, DatabaseError, Message
from minibase.rest.query.statement import array_literal

logger = logging.getLogger(__name__)

# Where the database is away: first soon, then seldom.
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 2.0


def _query(name: str, *parameters: bytes) -> Message:
    text = (files("minibase") / "sql" / "queries" / f"rest_{name}.sql").read_text(encoding="utf-8")
    return Message(text, parameters)


class CatalogueWatch:
    """Holds the newest snapshot; None until the first was loaded. A request keeps the one it began with."""

    def __init__(self, dsn: str, schemas: Sequence[str]) -> None:
        self.snapshot: Catalogue | None = None
        self.loaded = anyio.Event()
        self._dsn = dsn
        self._delay = FIRST_DELAY
        exposed = array_literal(tuple(schemas)).encode()
        self._queries = [
            _query("relations", exposed),
            _query("foreign_keys"),
            _query("views", exposed),
            _query("functions", exposed),
            _query("role_settings"),
        ]

    async def run(self) -> None:
        """Watch until cancelled; a database that goes away is waited for, and the old snapshot stays meanwhile."""
        while True:
            try:
                await self._watch()
            except (DatabaseAwayError, DatabaseError):
                pass
            except Exception:
                # The API lives as long as this does: whatever is met here must not end it.
                logger.exception("rest: the catalogue's watch broke and begins anew")
            await anyio.sleep(self._delay)
            self._delay = min(self._delay * 2, LONGEST_DELAY)

    async def _watch(self) -> None:
        connection = await Connection.open(self._dsn)
        self._delay = FIRST_DELAY
        try:
            await self._follow(connection)
        finally:
            await connection.close()

    async def _follow(self, connection: Connection) -> None:
        # Listening comes first: a change between the two is then heard and costs one load too many.
        await connection.run([Message("listen pgrst")])
        while True:
            self.snapshot = await self._load(connection)
            self.loaded.set()
            await connection.wait_for_notification()

    async def _load(self, connection: Connection) -> Catalogue:
        begin = Message("begin isolation level repeatable read, read only")
        # Under an empty search path Postgres spells types and defaults with their schemas.
        qualify = Message("select set_config('search_path', '', true), set_config('statement_timeout', '60s', true)")
        try:
            answers = await connection.run([begin, qualify, *self._queries, Message("commit")])
        finally:
            await connection.settle()
        documents: list[Any] = [orjson.loads(rows[0][0] or b"null") for rows in answers[2:7]]
        relations, foreign_keys, views, functions, role_settings = documents
        return assemble(
            CatalogueRows(
                relations=relations,
                foreign_keys=foreign_keys,
                views=views,
                functions=functions,
                role_settings=role_settings,
            )
        )
