"""A model slower than the lease: the heartbeat keeps the stack, though another daemon waits for it."""

from __future__ import annotations

from typing import Any

from faults.place import LEASE_S, Place
from faults.promises import assert_kept, built
from faults.provider import Provider
from processes import eventually


def test_a_reply_that_takes_three_leases_lands_and_is_bought_once(
    place: Place, provider: Provider, daemon: Any
) -> None:
    provider.latency = (3 * LEASE_S, 3 * LEASE_S)
    stack = place.stack("Owls", state="idle")
    daemon("one")
    daemon("two")
    place.move("running", stack)
    eventually(lambda: provider.calls, within=20, what="the builder's call")
    provider.latency = (0, 0)  # for all others
    built(place, 1)
    assert provider.calls[0].role == "builder"
    assert place.one("select count(*) from agent_executions where agent_type = 'builder'") == 1
    assert_kept(place, provider)
