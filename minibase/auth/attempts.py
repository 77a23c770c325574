"""How often one address may try: a token bucket per address, bounded in number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    tokens: float
    filled_at: float


class AttemptLimit:
    """At most `burst` charged attempts at once from an address, refilled evenly over `period` seconds.

    Remembers at most `addresses`; the one longest unseen is forgotten first. Time is the caller's.
    """

    def __init__(self, *, burst: int = 30, period: float = 300, addresses: int = 4_096) -> None:
        self._burst = burst
        self._rate = burst / period
        self._addresses = addresses
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def allows(self, address: str, now: float) -> bool:
        return self._tokens(address, now) >= 1

    def charge(self, address: str, now: float) -> None:
        """Count one attempt against `address`."""
        self._buckets[address] = Bucket(tokens=max(0.0, self._tokens(address, now) - 1), filled_at=now)
        self._buckets.move_to_end(address)
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)

    def _tokens(self, address: str, now: float) -> float:
        bucket = self._buckets.get(address)
        if bucket is None:
            return float(self._burst)
        return min(float(self._burst), bucket.tokens + (now - bucket.filled_at) * self._rate)
