"""How long calls were under way, however they overlap."""

from __future__ import annotations

import pytest

from orchestrator.bench.beat import covered


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
