"""Databases that the official CLI is asked about: with all our migrations, by our own runner, or the one given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from given import GIVEN
from processes import ROOT

from minibase.postgres.bootstrap import bootstrap
from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.migrate import migrate
from minibase.postgres.server import Server

# Whether a project exposes the tables that it will make; what a given one does is its own matter.
REGIMES = {"new tables exposed": True, "nothing exposed": False} if GIVEN is None else {"as given": None}


@pytest.fixture(scope="session")
def migrated(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database that our own runner has migrated."""
    with _open_migrated(request, "agrees", exposed=True) as remote:
        yield remote


@pytest.fixture(scope="session", params=REGIMES.values(), ids=REGIMES.keys())
def under_grants(request: pytest.FixtureRequest) -> Iterator[str]:
    """The same under each regime of default privileges, `[api] auto_expose_new_tables`."""
    with _open_migrated(request, f"grants_{request.param}".lower(), exposed=request.param) as remote:
        yield remote


@contextmanager
def _open_migrated(request: pytest.FixtureRequest, name: str, *, exposed: bool) -> Iterator[str]:
    if GIVEN is not None:
        yield GIVEN.db_url
        return
    server: Server = request.getfixturevalue("server")

    async def make() -> Endpoint:
        clone = await clone_database(server.endpoint, f"official_cli_{name}")
        await bootstrap(clone, auto_expose_new_tables=exposed)
        await migrate(clone, ROOT / "supabase" / "migrations", lambda line: None)
        return clone

    with start_blocking_portal() as portal:
        clone = portal.call(make)
        yield clone.dsn(Login.OWNER)
        portal.call(drop_database, clone)
