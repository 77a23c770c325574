"""A breaker for every provider's every model, and why each of them is open. What opens and closes is reported."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.facts import BreakerClosed, BreakerOpened, Observer
from orchestrator.llm.breaker import CLOSED, Breaker

Key = tuple[str, str]
"""A provider's and a model's name."""


class Gates:
    """Holds only what is not closed and quiet: a model that answers costs a look into a dictionary."""

    def __init__(self, observer: Observer, clock: Callable[[], float]) -> None:
        self._observer = observer
        self._clock = clock
        self._breakers: dict[Key, Breaker] = {}
        self._errors: dict[Key, str] = {}

    @property
    def all_quiet(self) -> bool:
        return not self._breakers

    def rest_s(self, key: Key) -> float:
        """Seconds until this model may be asked; 0 when it may be asked now."""
        breaker = self._breakers.get(key)
        return 0.0 if breaker is None else breaker.rests_for(self._clock())

    def rest_left_s(self, key: Key) -> float:
        """Seconds for which it is no use to come back; 0 also while somebody probes."""
        breaker = self._breakers.get(key)
        return 0.0 if breaker is None else breaker.rest_left(self._clock())

    def why(self, key: Key) -> str:
        """What its last failure was."""
        return self._errors.get(key, f"{key[0]} is resting")

    def enter(self, key: Key, timeout_s: float) -> None:
        """An attempt begins; after a rest it is the probe."""
        breaker = self._breakers.get(key)
        if breaker is not None and breaker.is_open:
            self._breakers[key] = breaker.probing(self._clock(), timeout_s)

    def leave(self, key: Key) -> None:
        """An attempt was cancelled: it says nothing."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            self._breakers[key] = breaker.unprobed()

    def answered(self, key: Key) -> None:
        """An attempt got an answer, fit or not."""
        breaker = self._breakers.pop(key, None)
        self._errors.pop(key, None)
        if breaker is not None and breaker.is_open:
            self._observer(BreakerClosed(provider=key[0], model=key[1]))

    def failed(self, key: Key, error: str, *, since: float, retry_after_s: float | None = None) -> None:
        """An attempt that began at ``since`` found nobody."""
        before, now = self._breakers.get(key, CLOSED), self._clock()
        self._put(key, before, before.failed(now, since=since, retry_after_s=retry_after_s), error)

    def denied(self, key: Key, error: str) -> None:
        """The provider does not want us."""
        before = self._breakers.get(key, CLOSED)
        self._put(key, before, before.denied(self._clock()), error)

    def _put(self, key: Key, before: Breaker, after: Breaker, error: str) -> None:
        self._breakers[key] = after
        self._errors[key] = f"{key[0]} {error}"
        if after is not before and after.is_open:
            self._observer(
                BreakerOpened(
                    provider=key[0],
                    model=key[1],
                    failures=after.failures,
                    rest_s=after.open_until - after.opened_at,
                    error=error,
                )
            )
