"""Databases that the official CLI is asked about: with all our migrations, by our own runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from processes import ROOT

from minibase.postgres.bootstrap import bootstrap
from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.migrate import migrate
from minibase.postgres.server import Server

REGIMES = (True, False)


@pytest.fixture(scope="session")
def migrated(server: Server) -> Iterator[str]:
    """The address of a database that our own runner has migrated."""
    with _migrated(server, "agrees", exposed=True) as remote:
        yield remote


@pytest.fixture(scope="session", params=REGIMES, ids=["new tables exposed", "nothing exposed"])
def under_grants(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The same under each regime of default privileges, `[api] auto_expose_new_tables`."""
    with _migrated(server, f"grants_{request.param}".lower(), exposed=request.param) as remote:
        yield remote


@contextmanager
def _migrated(server: Server, name: str, *, exposed: bool) -> Iterator[str]:
    async def make() -> Endpoint:
        clone = await clone_database(server.endpoint, f"official_cli_{name}")
        await bootstrap(clone, auto_expose_new_tables=exposed)
        await migrate(clone, ROOT / "supabase" / "migrations", lambda line: None)
        return clone

    with start_blocking_portal() as portal:
        clone = portal.call(make)
        yield clone.dsn(Login.OWNER)
        portal.call(drop_database, clone)
