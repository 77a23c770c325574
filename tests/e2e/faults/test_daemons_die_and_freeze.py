"""Several daemons on one database: whoever dies or freezes, nothing is lost and nothing happens twice."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

Start = Callable[..., subprocess.Popen[bytes]]

LEASE_S = 2.0
# Claim, begin and the look at it on a machine that does other things, too.
SLACK_S = 1.5

RUNNING = (
    "select count(*) > 0 from agent_executions where stack_id = %s and agent_type = 'builder' and status = 'running'"
)
OVERLAPS = """
select count(*) from agent_executions a join agent_executions b
  on a.stack_id = b.stack_id and a.agent_type = b.agent_type and a.id < b.id
where (a.fence = b.fence or (a.status <> 'abandoned' and b.status <> 'abandoned'))
  and tstzrange(a.started_at, a.completed_at) && tstzrange(b.started_at, b.completed_at)"""
GAPS = "select count(*) from (select stack_id from artifacts group by 1 having max(version) <> count(*)) gaps"
BUILT_TWICE = "select count(*) from (select todo_id from artifacts group by 1 having count(*) > 1) twice"
ANSWERED_TWICE = """
select count(*) from (
  select run_id from messages where message_type = 'visitor' group by 1 having count(*) > 1) twice"""


def nothing_twice(place: Any) -> None:
    assert place.one(OVERLAPS) == 0
    assert place.one(GAPS) == 0
    assert place.one(BUILT_TWICE) == 0
    assert place.one(ANSWERED_TWICE) == 0
    assert place.one("select count(*) from messages where message_type = 'visitor'") == place.one(
        "select count(*) from user_messages where status = 'answered'"
    )


def test_a_killed_daemons_stack_is_taken_over_within_the_lease_and_its_todo_is_built_once(
    place: Any, daemon: Start
) -> None:
    stack = place.stack("Owls")
    dying = daemon("60")
    place.until(RUNNING, stack)
    place.sql("insert into user_messages (stack_id, content) values (%s, 'hello?')", stack)
    workers = place.one("select count(*) from workers where stopped_at is null")
    daemon("0.1")
    place.until("select count(*) > %s from workers where stopped_at is null", workers)
    assert place.one("select status from todos where stack_id = %s", stack) == "in_progress"
    dying.kill()
    killed = time.monotonic()
    place.until("select count(*) > 0 from agent_executions where stack_id = %s and status = 'abandoned'", stack)
    assert time.monotonic() - killed < LEASE_S + SLACK_S
    place.until(
        "select count(*) = 1 from todos where stack_id = %s and content = 'Build part 0' and status = 'completed'",
        stack,
    )
    place.until("select count(*) = 1 from user_messages where stack_id = %s and status = 'answered'", stack)
    nothing_twice(place)


def test_a_frozen_daemon_wakes_up_late_and_lands_nothing_but_its_costs(place: Any, daemon: Start) -> None:
    stack = place.stack("Boats")
    frozen = daemon("1.5")
    place.until(RUNNING, stack)
    run = place.one("select id from agent_executions where stack_id = %s and agent_type = 'builder'", stack)
    frozen.send_signal(signal.SIGSTOP)
    daemon("0.1")
    place.until(
        "select count(*) = 1 from todos where stack_id = %s and content = 'Build part 0' and status = 'completed'",
        stack,
    )
    frozen.send_signal(signal.SIGCONT)
    place.until("select count(*) > 0 from llm_calls where run_id = %s", run)
    assert place.one("select status from agent_executions where id = %s", run) == "abandoned"
    assert place.one("select count(*) from agent_traces where run_id = %s", run) == 0
    assert frozen.poll() is None
    nothing_twice(place)


def test_two_daemons_share_20_stacks_without_treading_on_each_other(place: Any, daemon: Start) -> None:
    stacks = [place.stack(f"Stack {n}", todos=2) for n in range(20)]
    for stack in stacks:
        place.sql("insert into user_messages (stack_id, content) values (%s, 'hello?')", stack)
    place.sql("delete from workers")
    daemon("0.1-0.6", STACKBEAT_SLOTS="8")
    daemon("0.1-0.6", STACKBEAT_SLOTS="8")
    place.until("select count(*) = 40 from todos where content like 'Build part%%' and status = 'completed'", within=90)
    place.until("select count(*) = 20 from user_messages where status = 'answered'", within=30)
    nothing_twice(place)
    assert place.one("select count(distinct worker_id) from agent_executions") == 2
