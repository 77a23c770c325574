"""One database session for administration: bootstrap, migrations, clones. Requests have pools of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from minibase.postgres.endpoint import Endpoint, Login


@asynccontextmanager
async def open_session(
    endpoint: Endpoint, role: Login, *, database: str | None = None
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A session as `role`, in the endpoint's database or another one of the same server."""
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        host=endpoint.host,
        port=endpoint.port,
        user=role.value,
        password=endpoint.passwords[role],
        database=database or endpoint.database,
        # Loopback only; the wheel's server has no TLS, and asking for it costs a round trip.
        ssl=False,
        timeout=60,
        server_settings={"application_name": "minibase"},
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=10)
