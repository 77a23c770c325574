"""Stop, delete and pause in the middle of a model call, by a plain UPDATE or DELETE, with and without the signal."""

from __future__ import annotations

import time
from typing import Any

import pytest
from faults.place import CADENCE_S, HEARTBEAT_S, Place
from faults.promises import assert_kept, built
from faults.provider import Call, End, Provider
from faults.wire import Side, Wire
from processes import eventually

# How long the provider may still see the call after the move, by architecture.md: with the signal, and without it.
WITH_SIGNAL_S = 1.0
WITHOUT_SIGNAL_S = HEARTBEAT_S + 0.5

TIMER_S = 2
LATER = """
    select coalesce(max(w.heartbeat_at) > max({since}) + {seconds} * interval '1 second', false)
    from workers w, agent_stacks a join stack_schedule s on s.stack_id = a.id"""
LISTENING = '"fact":"SignalsUp"'


class Flight:
    """A stack whose builder waits for the model."""

    def __init__(self, place: Place, provider: Provider, wire: Wire, daemon: Any, tmp_path: Any, signals: str) -> None:
        self.stack = place.stack("Owls", state="idle")
        provider.hold()
        self.process = daemon("daemon", wire=wire, STACKBEAT_CADENCE_S=str(TIMER_S))
        log = tmp_path / "daemon.log"
        eventually(lambda: LISTENING in log.read_text(), within=20, what="the daemon listens")
        place.move("running", self.stack)
        self.call: Call = eventually(lambda: provider.open, within=20, what="the builder's call")[0]
        if signals != "heard":
            wire.cut(silently=signals == "lost silently")
        self.limit_s = WITH_SIGNAL_S if signals == "heard" else WITHOUT_SIGNAL_S

    def closed_after(self, place: Place, statement: str) -> float:
        """Seconds from the statement's commit until the provider saw the call's connection closed."""
        place.sql(statement, self.stack)
        moved = time.monotonic()
        eventually(lambda: self.call.end is End.CLOSED, within=10, what="the call is cancelled")
        assert self.call.ended is not None
        assert self.call.ended - moved <= self.limit_s
        return self.call.ended - moved


@pytest.fixture(params=["heard", "cut off", "lost silently"])
def flight(
    request: pytest.FixtureRequest, place: Place, provider: Provider, wire: Wire, daemon: Any, tmp_path: Any
) -> Flight:
    return Flight(place, provider, wire, daemon, tmp_path, request.param)


def test_stop_cancels_the_call_and_nothing_lands(flight: Flight, place: Place, provider: Provider, figure: Any) -> None:
    took = flight.closed_after(place, "update agent_stacks set execution_state = 'stopped' where id = %s")
    figure("stop -> the provider's connection is closed", f"{took * 1000:.0f} ms")
    place.until("select count(*) > 0 from llm_calls where stack_id = %s and error = 'cancelled'", flight.stack)
    assert place.one("select count(*) from artifacts") + place.one("select count(*) from agent_traces") == 0
    assert place.one("select status || attempts from todos where stack_id = %s", flight.stack) == "pending0"
    assert_kept(place, provider)


def test_delete_cancels_the_call_and_keeps_its_costs(
    flight: Flight, place: Place, provider: Provider, figure: Any
) -> None:
    took = flight.closed_after(place, "delete from agent_stacks where id = %s")
    figure("delete -> the provider's connection is closed", f"{took * 1000:.0f} ms")
    place.until("select count(*) > 0 from llm_calls where stack_id = %s and error = 'cancelled'", flight.stack)
    assert flight.process.poll() is None
    assert_kept(place, provider)


def test_pause_lets_the_run_land_and_nothing_new_begins_until_resumed(
    flight: Flight, place: Place, provider: Provider
) -> None:
    place.sql("insert into todos (stack_id, content, priority) values (%s, 'Build part 1', 9)", flight.stack)
    place.move("paused", flight.stack)
    place.until(LATER.format(seconds=HEARTBEAT_S, since="a.paused_at"))
    assert flight.call.end is None
    provider.release()
    built(place, 1)
    # By then the builder's next routine run would be due, and the daemon has looked.
    place.until(LATER.format(seconds=CADENCE_S + TIMER_S, since="s.last_executed_at"))
    assert provider.count == 1
    assert place.one("select status from todos where content = 'Build part 1'") == "pending"
    place.move("running", flight.stack)
    built(place, 2)
    assert_kept(place, provider)


def test_a_reply_that_comes_after_the_stop_is_kept_and_not_bought_again(
    place: Place, provider: Provider, wire: Wire, daemon: Any
) -> None:
    """It lands nothing, but its words are paid for: when the stack is played again they answer the same question."""
    stack = place.stack("Owls", state="idle")
    daemon("daemon", wire=wire)
    commit = wire.block(Side.BEFORE, "commit_runs")
    place.move("running", stack)
    eventually(lambda: commit.reached, within=20, what="the commit on its way")
    place.move("stopped", stack)
    wire.lift(commit)
    place.until("select count(*) = 1 from llm_calls where error is null")
    assert place.one("select count(*) from artifacts") + place.one("select count(*) from agent_traces") == 0
    provider.hold()
    place.move("running", stack)
    built(place, 1)
    assert [call.role for call in provider.calls].count("builder") == 1
    assert_kept(place, provider)
