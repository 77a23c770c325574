"""The arithmetic behind the benches: calls that overlap, percentiles."""

from __future__ import annotations

import pytest

from orchestrator.bench.beat import covered
from orchestrator.bench.summary import summary


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 3)], 2),
        ([(1, 3), (5, 6)], 3),
        ([(2, 4), (1, 3)], 3),
        ([(1, 9), (2, 3), (4, 5)], 8),
        ([(1, 2), (2, 3)], 2),
    ],
)
def test_overlapping_calls_count_once(spans: list[tuple[float, float]], seconds: float) -> None:
    assert covered(spans) == seconds


@pytest.mark.parametrize(
    ("samples", "p50", "p95", "most"),
    [
        ([7], 7, 7, 7),
        ([1, 2], 1, 2, 2),
        (range(20, 0, -1), 10, 19, 20),
        (range(1, 101), 50, 95, 100),
    ],
)
def test_percentiles_are_samples_by_nearest_rank(samples: list[float], p50: int, p95: int, most: int) -> None:
    assert summary(samples) == {"n": len(samples), "p50": p50, "p95": p95, "max": most}


def test_no_samples_are_no_figure() -> None:
    assert summary([]) == {"n": 0, "p50": None, "p95": None, "max": None}
