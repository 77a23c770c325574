"""A database that goes away, comes back, or is busy: a sentence and a retryable status, and no help needed after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import httpx

from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session
from minibase.rest.database.pool import PoolLimits

CUT = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1 and usename = 'authenticator'"


async def cut_connections(endpoint: Endpoint, *, reachable: bool) -> None:
    async with open_session(endpoint, Login.ADMIN, database="template1") as session:
        await session.execute(f"alter database {endpoint.database} allow_connections {str(reachable).lower()}")
        await session.fetch(CUT, endpoint.database)


async def test_broken_connections_are_replaced_unnoticed(rest: Any, http: httpx.AsyncClient) -> None:
    assert (await http.get("/shelves")).status_code == 200
    await cut_connections(rest.endpoint, reachable=True)
    assert (await http.get("/shelves")).status_code == 200
    await rest.sql("create table later (id int); grant select on later to anon")
    with anyio.fail_after(10):
        while (await http.get("/later")).status_code == 404:
            await rest.sql("notify pgrst")


async def test_requests_are_told_and_recover_by_themselves(rest: Any, http: httpx.AsyncClient) -> None:
    await cut_connections(rest.endpoint, reachable=False)
    try:
        away = await http.get("/shelves")
        assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "PGRST000", "1")
    finally:
        await cut_connections(rest.endpoint, reachable=True)
    assert (await http.get("/shelves")).status_code == 200


async def test_without_a_database_the_service_starts_and_says_so(start_rest: Any, endpoint: Endpoint) -> None:
    nowhere = replace(endpoint, database="nobody_made_this")
    async with (
        start_rest(nowhere, PoolLimits(patience=0.1)) as running,
        httpx.AsyncClient(base_url=running.url) as http,
    ):
        answer = await http.get("/anything")
        assert (answer.status_code, answer.json()["code"]) == (503, "PGRST002")


async def test_waiting_for_a_connection_has_an_end(start_rest: Any, rest: Any) -> None:
    limits = PoolLimits(size=1, patience=0.2)
    async with start_rest(rest.endpoint, limits) as running, httpx.AsyncClient(base_url=running.url) as http:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.post, "/rpc/nap")
            with anyio.fail_after(10):
                while (answer := await http.get("/shelves")).status_code == 200:
                    pass
        assert (answer.status_code, answer.json()["code"]) == (504, "PGRST003")
        assert (await http.get("/shelves")).status_code == 200
