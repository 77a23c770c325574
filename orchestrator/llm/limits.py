"""What providers say of their limits, in the `x-ratelimit-*` headers of every answer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.llm.values import Limit, LimitKind

MINUTE_S = 60.0
DAY_S = 86_400.0
_BETWEEN = 2_300.0  # a window that seems longer than this is a day's
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def read_limits(provider: str, model: str, headers: Mapping[str, str]) -> tuple[Limit, ...]:
    """The limits named in these headers; none for a provider that says nothing or something else.

    The headers do not say what window they speak of (Groq counts requests by the day, OpenAI by the minute). But the
    time until everything is back does: it is the window's share that has been used.
    """
    found = (_read(provider, model, headers, counted) for counted in ("requests", "tokens"))
    return tuple(limit for limit in found if limit is not None)


def _read(provider: str, model: str, headers: Mapping[str, str], counted: str) -> Limit | None:
    capacity = _number(headers.get(f"x-ratelimit-limit-{counted}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{counted}"))
    if capacity is None or remaining is None or capacity <= 0 or not 0 <= remaining <= capacity:
        return None
    reset = seconds(headers.get(f"x-ratelimit-reset-{counted}", ""))
    by_day = provider == "groq" and counted == "requests"
    if reset and remaining < capacity:
        by_day = reset * capacity / (capacity - remaining) > _BETWEEN
    return Limit(
        provider=provider, model=model, kind=_kind(counted, by_day=by_day), capacity=capacity, remaining=remaining
    )


def _kind(counted: str, *, by_day: bool) -> LimitKind:
    if counted == "requests":
        return "requests per day" if by_day else "requests per minute"
    return "tokens per day" if by_day else "tokens per minute"


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None


def seconds(text: str) -> float | None:
    """A duration like "1m26.4s", "391ms" or "12" (seconds); None for anything else."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    return _number(text)
