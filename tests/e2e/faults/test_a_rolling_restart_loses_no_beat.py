"""Two daemons are replaced one after the other, the second one there before the first drains: no beat comes late."""

from __future__ import annotations

import signal
from typing import Any

from faults.place import CADENCE_S, LEASE_S, Place
from faults.promises import assert_kept, built
from faults.provider import Provider
from processes import eventually

STACKS = 10
TODOS = 40  # nobody runs out of work, however long the machine takes to start a daemon
# A beat that only a lease's end brings back is later than this, however busy the machine.
MARGIN_S = LEASE_S - 0.1

# How late a builder began, who has more to build all the time: against its cadence and what kept it from running.
LATEST = f"""
    select max(extract(epoch from b.started_at - greatest(
      (select max(p.started_at) + interval '{CADENCE_S} s' from agent_executions p
        where p.stack_id = b.stack_id and p.agent_type = 'builder' and p.started_at < b.started_at),
      (select max(p.completed_at) from agent_executions p
        where p.stack_id = b.stack_id and p.completed_at <= b.started_at))))::float
    from agent_executions b where b.agent_type = 'builder'
      and exists (select from agent_executions p where p.stack_id = b.stack_id and p.started_at < b.started_at)"""


def test_no_stack_waits_longer_than_its_cadence(place: Place, provider: Provider, daemon: Any, figure: Any) -> None:
    stacks = [place.stack(f"Stack {n}", todos=TODOS, state="idle") for n in range(STACKS)]
    first = [daemon("a1"), daemon("b1")]
    place.move("running", *stacks)
    for n, leaving in enumerate(first):
        built_so_far = place.one("select count(*) from todos where status = 'completed'")
        place.until("select count(*) > %s from todos where status = 'completed'", built_so_far + STACKS)
        daemon(f"{'ab'[n]}2")
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(20) == 0
    built_so_far = place.one("select count(*) from todos where status = 'completed'")
    place.until("select count(*) > %s from todos where status = 'completed'", built_so_far + STACKS)
    assert place.one(
        "select min(n) > 0 from (select count(*) filter (where status = 'pending') as n from todos group by stack_id) x"
    )
    latest = place.one(LATEST)
    figure("the latest of all beats came late by", f"{latest:.3f} s")
    assert place.one("select count(*) from agent_executions where status not in ('completed', 'running')") == 0
    assert latest <= MARGIN_S
    assert_kept(place, provider)


def test_what_a_leaving_daemon_leaves_is_found_by_one_that_had_nothing_to_do(
    place: Place, provider: Provider, daemon: Any, figure: Any, tmp_path: Any
) -> None:
    """The other one's own timer is far away, and nothing has told it when these stacks are due."""
    stack = place.stack("Owls", todos=2, state="idle")
    provider.hold()
    lease = {"STACKBEAT_LEASE_S": "4", "STACKBEAT_HEARTBEAT_S": "1", "STACKBEAT_CADENCE_S": "600"}
    leaving = daemon("leaving", **lease)
    place.move("running", stack)
    eventually(lambda: provider.open, within=20, what="the builder's call")
    daemon("heir", **lease)
    leaving.send_signal(signal.SIGTERM)
    eventually(lambda: "DaemonStopping" in (tmp_path / "leaving.log").read_text(), within=10, what="it drains")
    provider.release()
    assert leaving.wait(20) == 0
    built(place, 2)
    latest = place.one(LATEST)
    figure("the latest of all beats came late by", f"{latest:.3f} s")
    assert latest <= MARGIN_S
    assert_kept(place, provider)
