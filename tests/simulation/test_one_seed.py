"""Plays the history of `--seed`, for looking into a failure; prints all of it with `-s`."""

import hashlib

import pytest
from simulation.database import Database
from simulation.history import play


def test_one_seed(database: Database, pytestconfig: pytest.Config) -> None:
    seed = pytestconfig.getoption("--seed", default=None)
    if seed is None:
        pytest.skip("give --seed N")
    verdict = play(seed, database)
    print("\n".join(verdict.log))
    print("digest", hashlib.sha256("\n".join(verdict.log).encode()).hexdigest())
    assert not verdict.findings, verdict.explain()
