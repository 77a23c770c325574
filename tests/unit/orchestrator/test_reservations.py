"""What a run reserves before it asks: estimates, providers' words about their limits, and what a stack is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.llm.estimate import ReplyLengths, most_tokens_in, tokens_in
from orchestrator.llm.limits import read_limits, seconds
from orchestrator.llm.prices import Prices
from orchestrator.stage import Due, End, TurnEnd, settle

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def headers(counted: str, capacity: object, remaining: object, reset: str = "") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{counted}": str(capacity),
        f"x-ratelimit-remaining-{counted}": str(remaining),
        f"x-ratelimit-reset-{counted}": reset,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("391ms", 0.391), ("1m26.4s", 86.4), ("2h", 7_200), ("12", 12), ("0.5", 0.5)),
        *(("", None), ("soon", None), ("1x", None), ("-3s", None)),
    ],
)
def test_durations(text: str, expected: float | None) -> None:
    found = seconds(text)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("provider", "given_headers", "kind"),
    [
        # Groq's requests are a day's, and the time until all are back says the same: 86.4 s for one of a thousand.
        ("groq", headers("requests", 1_000, 999, "1m26.4s"), "requests per day"),
        ("groq", headers("requests", 1_000, 1_000, ""), "requests per day"),
        # A fake of it that counts by the minute.
        ("groq", headers("requests", 60, 30, "30s"), "requests per minute"),
        ("groq", headers("tokens", 8_000, 4_000, "30s"), "tokens per minute"),
        ("openai", headers("requests", 500, 499, "120ms"), "requests per minute"),
        ("openai", headers("tokens", 200_000, 100_000, "12h"), "tokens per day"),
    ],
)
def test_the_window_is_read_from_the_time_until_everything_is_back(provider, given_headers, kind) -> None:
    [limit] = read_limits(provider, "m", given_headers)
    assert limit.kind == kind
    assert (limit.provider, limit.model) == (provider, "m")


@pytest.mark.parametrize(
    "said", [{}, headers("requests", 0, 0), headers("requests", "many", 1), headers("tokens", 10, 11)]
)
def test_nonsense_teaches_nothing(said: dict[str, str]) -> None:
    assert read_limits("openai", "m", said) == ()


@given(st.text())
def test_any_header_is_survived(text: str) -> None:
    read_limits("groq", "m", headers("requests", text, text, text))


@given(st.integers(min_value=0, max_value=10_000_000))
def test_the_bound_is_above_the_estimate(size: int) -> None:
    assert most_tokens_in(size) > tokens_in(size) - 1


def test_replies_are_expected_as_long_as_they_were_twice_over_and_within_what_is_allowed() -> None:
    lengths = ReplyLengths()
    assert lengths.expect("builder", 16_000) == 4_000
    for _ in range(50):
        lengths.note("builder", 900)
    assert lengths.expect("builder", 16_000) == 1_800
    assert lengths.expect("builder", 1_000) == 1_000
    assert lengths.expect("planner", 400) == 100, "others know nothing of it"


def test_the_price_of_a_model_and_of_an_unknown_one() -> None:
    prices = Prices()
    assert prices.most_per_million("groq", "openai/gpt-oss-20b") == (Decimal("0.075"), Decimal("0.3"))
    unknown = prices.most_per_million("groq", "no-such-model")
    assert unknown == (Decimal(str(prices.default.input)), Decimal(str(prices.default.output)))


def short(reason: str, retry: timedelta | None) -> TurnEnd:
    return TurnEnd(agent="builder", end=End.SHORT, reason=reason, retry=retry)


def test_a_stack_that_waits_for_quota_says_so_and_comes_back_when_there_is_some() -> None:
    due = settle([short("waiting for quota: q", timedelta(seconds=7))], next_at=None, now=NOW)
    assert due == Due(after=timedelta(seconds=7), reason="waiting for quota: q, retry in 7 s")


def test_a_budget_that_only_somebody_can_lift_waits_for_a_wake_or_for_other_agents_times() -> None:
    ends = [short("budget exhausted: b", None)]
    assert settle(ends, next_at=None, now=NOW) == Due(after=None, reason="budget exhausted: b")
    due = settle(ends, next_at=NOW + timedelta(minutes=5), now=NOW)
    assert due == Due(after=timedelta(minutes=5), reason="budget exhausted: b")


def test_others_go_on_while_one_waits_for_its_budget() -> None:
    ends = [short("budget exhausted: b", None), TurnEnd(agent="planner", end=End.PROGRESS)]
    assert settle(ends, next_at=None, now=NOW).after == timedelta(0)
    ends[1] = TurnEnd(agent="planner", end=End.WAITING, reason="groq 503", retry=timedelta(seconds=9))
    assert settle(ends, next_at=None, now=NOW).after == timedelta(seconds=9)
