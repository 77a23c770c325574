"""`kill -9` after `kill -9`, at any moment: the ledger is the provider's own count of calls and tokens."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest
from faults.place import Place
from faults.promises import LOST, assert_kept
from faults.provider import End, Provider

STACKS = 10
BOOKED = """
    select a.participant_name, c.agent_type, c.tokens_in, c.tokens_out
    from llm_calls c join agent_stacks a on a.id = c.stack_id where c.error is null"""


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_the_ledger_equals_the_providers_count(
    kills: int, place: Place, provider: Provider, daemon: Any, figure: Any
) -> None:
    for n in range(STACKS):
        place.stack(f"Stack {n}", todos=30 + 12 * kills, visitor=True)
    living = [daemon("one"), daemon("two")]
    for n in range(kills):
        time.sleep(random.uniform(0.2, 1.0))
        living[n % 2].kill()
        living[n % 2].wait(10)
        living[n % 2] = daemon(f"{('one', 'two')[n % 2]} {n}")
    done = place.one("select count(*) from agent_executions where status = 'completed'")
    place.until("select count(*) >= %s from agent_executions where status = 'completed'", done + STACKS)
    assert_kept(place, provider, unreported=None, may_fail=True)
    given = Counter((call.stack, call.role, call.tokens_in, call.tokens_out) for call in provider.ended(End.ANSWERED))
    booked, lost = Counter(map(tuple, place.sql(BOOKED))), place.one(LOST)
    missing = given - booked
    figure(
        "calls the provider answered, booked, not booked, runs lost with their worker",
        f"{given.total()}, {booked.total()}, {missing.total()}, {lost}",
    )
    assert not booked - given, "what the provider did not give, with tokens, is not in the ledger"
    assert missing.total() <= lost, "what it gave and is not there went with a worker, and the ledger says so"
