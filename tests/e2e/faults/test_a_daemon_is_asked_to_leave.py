"""SIGTERM drains: runs in flight land, nothing new is claimed, and what takes too long is given back."""

from __future__ import annotations

import signal
from typing import Any

from faults.place import Place
from faults.promises import assert_kept, built
from faults.provider import End, Provider
from processes import eventually


def test_runs_in_flight_land_and_nothing_new_begins(
    place: Place, provider: Provider, daemon: Any, tmp_path: Any
) -> None:
    stack = place.stack("Owls", todos=2, state="idle")
    provider.hold()
    leaving = daemon("leaving")
    place.move("running", stack)
    eventually(lambda: provider.open, within=20, what="the builder's call")
    leaving.send_signal(signal.SIGTERM)
    eventually(lambda: "DaemonStopping" in (tmp_path / "leaving.log").read_text(), within=10, what="it drains")
    other = place.stack("Boats")
    provider.release()
    assert leaving.wait(20) == 0
    assert place.one("select status from agent_executions where stack_id = %s", stack) == "completed"
    assert place.one("select count(*) from agent_executions where stack_id = %s", other) == 0
    assert place.one("select stopped_at is not null from workers where name = 'leaving'")
    assert place.one("select count(*) from stack_schedule where lease_owner is not null") == 0
    daemon("heir")
    built(place, 3)
    assert_kept(place, provider)


def test_what_outlasts_the_grace_is_given_back_without_costing_an_attempt(
    place: Place, provider: Provider, daemon: Any
) -> None:
    stack = place.stack("Owls", visitor=True, state="idle")
    provider.hold()
    leaving = daemon("leaving", STACKBEAT_GRACE_S="0.5")
    place.move("running", stack)
    eventually(lambda: len(provider.open) == 2, within=20, what="both calls")
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(20) == 0
    assert len(provider.ended(End.CLOSED)) == 2
    assert place.one("select count(*) from llm_calls where error = 'cancelled'") == 2
    assert place.one("select status || attempts from todos") == "pending0"
    assert place.one("select status || attempts from user_messages") == "waiting0"
    provider.release()
    daemon("heir")
    built(place, 1)
    assert_kept(place, provider)
