"""A provider's limits, learned from its answers, are shared by the fleet: hardly a 429, nobody left out, no storm."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import Any

import pytest
from faults.place import Place
from faults.provider import End, Provider
from processes import eventually

EACH = 4
REASONS = """
    select count(*) from stack_status s join agent_stacks a on a.id = s.stack_id
    where a.execution_state = 'running' and s.wait_kind = 'quota'
      and s.wait_reason like 'waiting for quota: openai allows %% of gpt-6-luna%%'"""
FULL = pytest.param(100, 1_800, 480_000, 1.0, marks=pytest.mark.slow)


def answered(provider: Provider) -> Counter[str]:
    return Counter(call.stack for call in provider.ended(End.ANSWERED))


@pytest.mark.parametrize(("stacks", "requests", "tokens", "filled"), [(12, 480, 1_000_000, 0.05), FULL])
def test_a_fleet_of_two_daemons_keeps_within_it(
    stacks: int,
    requests: int,
    tokens: int,
    filled: float,
    place: Place,
    provider: Provider,
    daemon: Any,
    figure: Any,
) -> None:
    place.sql("truncate internal.quota")  # nobody has heard of this model
    provider.limit(requests=requests, tokens=tokens, filled=filled)
    ids = [place.stack(f"Stack {n}", todos=30, state="idle") for n in range(stacks)]
    for name in ("one", "two"):
        daemon(name)
    place.move("running", *ids)
    place.until(f"select ({REASONS}) > 0", within=120)
    before = answered(provider)
    eventually(
        lambda: min((answered(provider) - before).get(f"Stack {n}", 0) for n in range(stacks)) >= EACH,
        within=1_200,
        what=f"{EACH} more calls of each stack",
    )
    since = answered(provider) - before
    refused = len(provider.ended(End.REFUSED)) / provider.count
    figure("answered 429", f"{refused:.2%} of {provider.count} calls")
    figure("calls per stack while it was short, max - min", max(since.values()) - min(since.values()))
    assert refused < 0.01
    assert max(since.values()) - min(since.values()) <= 2


@pytest.mark.parametrize("outage_s", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_when_an_outage_ends_nobody_storms(
    outage_s: int, place: Place, provider: Provider, daemon: Any, figure: Any
) -> None:
    provider.limit(requests=600, tokens=10_000_000, filled=0.05)
    ids = [place.stack(f"Stack {n}", todos=30, state="idle") for n in range(30)]
    for name in ("one", "two"):
        daemon(name)
    place.move("running", *ids)
    place.until(f"select ({REASONS}) > 0", within=60)
    provider.outage_s = outage_s
    seen = provider.count
    time.sleep(outage_s)
    during = provider.count - seen
    provider.outage_s = None
    ended = time.monotonic()
    # Whoever was told to come back in `outage_s` just before the end does so, and not sooner.
    within = 60 + outage_s
    eventually(lambda: provider.calls[-1].arrived > ended, within=within, what="somebody asks again")
    began = next(call.arrived for call in provider.calls if call.arrived > ended)
    eventually(lambda: provider.calls[-1].arrived > began + 10, within=60, what="10 s of work")
    per_s = Counter(int(call.arrived - began) for call in provider.calls if call.arrived > ended)
    rates = [per_s[second] for second in range(10)]
    figure("from the end of the outage to the first call, s", round(began - ended, 1))
    figure("calls in each second after the outage", rates)
    figure("calls during it", during)
    late = [call for call in provider.ended(End.REFUSED) if call.arrived > ended]
    figure("refused after it", len(late))
    assert during <= 30
    # The limit went on filling during the outage; what comes at once afterwards stays within what it had gathered.
    assert len(late) <= 1
    assert statistics.fmean(rates[-3:]) > 5, "it works again"
