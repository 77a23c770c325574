"""The signals are gone for a while: the timer finds everything, and afterwards signals wake the daemon again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from faults.place import Place
from faults.promises import answered, assert_kept, built
from faults.provider import Provider
from faults.wire import Wire
from processes import eventually

TIMER_S = 2


@pytest.mark.parametrize("silently", [False, True], ids=["refused", "silent"])
@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_work_goes_on_without_signals(
    seconds: float, silently: bool, place: Place, provider: Provider, wire: Wire, daemon: Any, tmp_path: Any
) -> None:
    daemon("daemon", wire=wire, STACKBEAT_CADENCE_S=str(TIMER_S))
    log = tmp_path / "daemon.log"
    eventually(lambda: "SignalsUp" in log.read_text(), within=20, what="the daemon listens")
    wire.cut(silently=silently)
    ends, n = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        n += 1
        place.stack(f"Stack {n}", visitor=True)  # played by a person whom the daemon cannot hear
        answered(place, n)
        built(place, n)
    wire.mend()
    if not silently:
        ups = log.read_text().count("SignalsUp")
        eventually(lambda: log.read_text().count("SignalsUp") > ups, within=30, what="the daemon listens again")
    assert_kept(place, provider)


def test_a_socket_that_comes_back_wakes_at_once(
    place: Place, provider: Provider, wire: Wire, daemon: Any, tmp_path: Any
) -> None:
    """The timer is too slow to be the reason for what is seen here."""
    stack = place.stack("Owls", state="idle")
    daemon("daemon", wire=wire, STACKBEAT_CADENCE_S="600")
    log = tmp_path / "daemon.log"
    eventually(lambda: "SignalsUp" in log.read_text(), within=20, what="the daemon listens")
    wire.cut()
    eventually(lambda: "SignalsDown" in log.read_text(), within=20, what="the daemon notices")
    place.move("running", stack)
    wire.mend()
    built(place, 1)
    place.sql("insert into user_messages (stack_id, content) values (%s, 'hello?')", stack)
    answered(place, 1)
    assert_kept(place, provider)
