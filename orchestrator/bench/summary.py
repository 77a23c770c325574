"""Samples as percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    rank = max(1, -(-len(ordered) * round(share * 100) // 100))
    return ordered[rank - 1]


def summary(samples: Sequence[float]) -> dict[str, Any]:
    """How many, p50, p95 and the worst; milliseconds in, whole milliseconds out."""
    if not samples:
        return {"n": 0, "p50": None, "p95": None, "max": None}
    return {
        "n": len(samples),
        "p50": round(percentile(samples, 0.5)),
        "p95": round(percentile(samples, 0.95)),
        "max": round(max(samples)),
    }
