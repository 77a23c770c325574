"""A daemon frozen (SIGSTOP) beyond its lease, then continued: it lands only what nobody else has taken over."""

from __future__ import annotations

import signal
from typing import Any

from faults.place import Place
from faults.promises import assert_kept, built, taken_over
from faults.provider import Provider
from processes import eventually

EXPIRED = "select lease_expires_at < clock_timestamp() from stack_schedule where stack_id = %s"


def test_replaced_meanwhile_it_lands_nothing_but_its_costs(
    place: Place, provider: Provider, daemon: Any, figure: Any
) -> None:
    stack = place.stack("Boats", state="idle")
    provider.hold()
    frozen = daemon("frozen")
    place.move("running", stack)
    eventually(lambda: provider.open, within=20, what="the builder's call")
    run = place.one("select id from agent_executions where stack_id = %s", stack)
    daemon("heir")
    frozen.send_signal(signal.SIGSTOP)
    lease_end = place.one("select lease_expires_at from stack_schedule where stack_id = %s", stack)
    provider.release()
    late = taken_over(place, stack, "heir", lease_end=lease_end)
    figure("the next run began after the lease's end", f"{late:+.3f} s")
    built(place, 1)
    frozen.send_signal(signal.SIGCONT)
    place.until("select count(*) > 0 from llm_calls where run_id = %s and error is null", run)
    assert place.one("select status from agent_executions where id = %s", run) == "abandoned"
    assert place.one("select count(*) from agent_traces where run_id = %s", run) == 0
    assert frozen.poll() is None
    assert_kept(place, provider)


def test_replaced_by_nobody_it_lands_late_and_buys_nothing_again(place: Place, provider: Provider, daemon: Any) -> None:
    """The fence says who may write, not the lease; and nobody else has raised it."""
    stack = place.stack("Boats", state="idle")
    provider.hold()
    frozen = daemon("frozen")
    place.move("running", stack)
    eventually(lambda: provider.open, within=20, what="the builder's call")
    run = place.one("select id from agent_executions where stack_id = %s", stack)
    frozen.send_signal(signal.SIGSTOP)
    place.until(EXPIRED, stack)
    provider.release()
    frozen.send_signal(signal.SIGCONT)
    built(place, 1)
    assert place.one("select status from agent_executions where id = %s", run) == "completed"
    assert_kept(place, provider)
