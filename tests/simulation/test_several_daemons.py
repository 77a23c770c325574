"""Histories with two and three daemons over the same stacks."""

import pytest
from simulation.database import Database
from simulation.history import find_first, places

A_CHUNK = 15


def chunks(first: int, count: int) -> list[list[int]]:
    """Seeds of histories with several daemons, some at a time, so that a failure is soon there."""
    return [
        [seed for seed in range(start, start + A_CHUNK) if places(seed) > 1]
        for start in range(first, first + count * 3 // 2, A_CHUNK)
    ]


@pytest.mark.parametrize(
    "seeds",
    [*chunks(0, 100), *(pytest.param(seeds, marks=pytest.mark.slow) for seeds in chunks(3_000, 2_000))],
    ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}",
)
def test_no_history_breaks_a_rule(seeds: list[int], database: Database) -> None:
    verdict = find_first(seeds, database)
    assert verdict is None, verdict.explain()
