"""A database for histories, and the option that plays one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from simulation.database import Database, open_database

from minibase.postgres.server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="the history that test_one_seed plays")


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with open_database(server.endpoint, f"simulation_{os.getpid()}") as opened:
        yield opened
