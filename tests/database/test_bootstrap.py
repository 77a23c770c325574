"""What a program finds in a bootstrapped database before any migration has run."""

from __future__ import annotations

import asyncpg
import pytest

from minibase.postgres.bootstrap import bootstrap, read_steps
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session


async def test_bootstrapping_again_changes_nothing(endpoint: Endpoint) -> None:
    assert await bootstrap(endpoint) == 0


async def test_a_database_of_a_newer_minibase_is_refused(endpoint: Endpoint) -> None:
    newer = read_steps()[-1].version + 1
    async with open_session(endpoint, Login.ADMIN) as session:
        await session.execute("insert into _minibase.bootstrap (version, name) values ($1, 'future')", newer)
    with pytest.raises(Exception, match=f"newer minibase .version {newer}"):
        await bootstrap(endpoint)


@pytest.mark.parametrize("login", list(Login))
async def test_every_login_role_signs_in_with_its_password(endpoint: Endpoint, login: Login) -> None:
    connection = await asyncpg.connect(endpoint.dsn(login), ssl=False)
    assert await connection.fetchval("select current_user") == login
    await connection.close()
