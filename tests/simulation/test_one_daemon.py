"""Histories with one daemon at a time; it crashes, freezes, drains and is replaced like the others."""

import pytest
from simulation.database import Database
from simulation.history import find_first

A_CHUNK = 10


def chunks(first: int, count: int) -> list[range]:
    """Seeds of histories with one daemon, some at a time, so that a failure is soon there."""
    step = 3 * A_CHUNK
    return [range(start, start + step, 3) for start in range(first, first + 3 * count, step)]


@pytest.mark.parametrize(
    "seeds",
    [*chunks(0, 100), *(pytest.param(seeds, marks=pytest.mark.slow) for seeds in chunks(3_000, 2_000))],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop - 3}",
)
def test_no_history_breaks_a_rule(seeds: range, database: Database) -> None:
    verdict = find_first(seeds, database)
    assert verdict is None, verdict.explain()
