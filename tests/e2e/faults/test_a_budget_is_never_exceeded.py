"""One dollar for 50 stacks and two daemons: spent nearly whole, never more, whoever counts; an UPDATE lifts it."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from faults.place import Place
from faults.provider import Provider
from processes import eventually

from orchestrator.llm.prices import Prices
from orchestrator.llm.values import Reply

STACKS = 50
AT_REST = """
    select (select count(*) from agent_executions where status = 'running') = 0
       and (select count(*) from stack_status where wait_kind = 'budget_exhausted') = %s"""


def spent_by_its_own_count(provider: Provider) -> Decimal:
    """What the provider would charge."""
    replies = [
        Reply(text="", finish_reason=None, tokens_in=c.tokens_in, tokens_out=c.tokens_out) for c in provider.calls
    ]
    return sum((Prices().cost("openai", "gpt-6-luna", reply).usd for reply in replies), Decimal(0))


@pytest.mark.parametrize("repetitions", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_never_more_than_there_is(repetitions: int, place: Place, provider: Provider, daemon: Any, figure: Any) -> None:
    provider.longest = True
    provider.latency = (0.05, 0.6)
    for name in ("one", "two"):
        daemon(name)
    spent = []
    for _ in range(repetitions):
        place.sql("delete from agent_stacks")
        place.sql("delete from budgets")
        place.sql("truncate llm_calls")
        provider.calls.clear()
        ids = [place.stack(f"Stack {n}", todos=20, state="idle") for n in range(STACKS)]
        place.sql("insert into budgets (per, usd) values ('all time', 1)")
        place.move("running", *ids)
        place.until(AT_REST, STACKS, within=90)
        eventually(lambda: not provider.open, within=10, what="the provider's calls ended")
        ledger = place.one("select sum(cost_usd) from llm_calls")
        assert ledger == spent_by_its_own_count(provider) == place.one("select used_usd from budgets_now")
        spent.append(ledger)
    figure("spent of 1 USD", " ".join(f"{value:.4f}" for value in spent))
    assert max(spent) <= 1
    assert min(spent) > Decimal("0.9")
    runs = place.one("select count(*) from agent_executions")
    place.sql("update budgets set usd = 1.2")
    began = time.monotonic()
    place.until("select count(*) > %s from agent_executions", runs, within=10)
    figure("raised -> the next run began", f"{time.monotonic() - began:.3f} s")
