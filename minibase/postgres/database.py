"""Whole databases on one server: clones for tests, a replacement for `reset`."""

from __future__ import annotations

from dataclasses import replace

from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session

_HALL = "template1"
"""The database to stand in while another one is made or dropped."""


async def clone_database(endpoint: Endpoint, name: str) -> Endpoint:
    """Copy the endpoint's database, in which nobody may be connected, to a new one called `name`."""
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        await session.execute(
            f'create database "{name}" template "{endpoint.database}" owner {Login.OWNER} strategy file_copy'
        )
    return replace(endpoint, database=name)


async def drop_database(endpoint: Endpoint) -> None:
    """Drop the endpoint's database, if it is there, and end every session and replication stream in it."""
    async with open_session(endpoint, Login.ADMIN, database=_HALL) as session:
        await session.execute(
            "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = $1 and active",
            endpoint.database,
        )
        await session.execute(f'drop database if exists "{endpoint.database}" with (force)')
