"""The database and its API are killed under a working daemon, which stays, keeps what it has, and goes on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from typing import Any

Start = Callable[..., subprocess.Popen[bytes]]


def test_runs_in_flight_land_once_after_minibase_was_killed_and_came_back(place: Any, daemon: Start) -> None:
    stacks = [place.stack(f"Stack {n}") for n in range(5)]
    process = daemon("3")
    place.until("select count(*) = 5 from agent_executions where agent_type = 'builder' and status = 'running'")
    place.end(signal.SIGKILL)
    place.start()
    place.until("select count(*) = 5 from todos where content like 'Build part%%' and status = 'completed'", within=60)
    assert process.poll() is None
    for stack in stacks:
        assert place.one("select count(*) from artifacts where stack_id = %s and version = 1", stack) == 1
    assert place.one("select count(*) from (select todo_id from artifacts group by 1 having count(*) > 1) twice") == 0
    lost = "select count(*) from agent_executions where status not in ('running', 'completed', 'abandoned')"
    assert place.one(lost) == 0
    place.until(
        "select count(*) = 0 from agent_executions e where status in ('completed', 'abandoned') "
        "and not exists (select from llm_calls c where c.run_id = e.id)"
    )


def test_stop_by_update_cancels_the_model_call_within_a_second_and_nothing_lands(place: Any, daemon: Start) -> None:
    stack = place.stack("Owls")
    daemon("60")
    place.until("select count(*) > 0 from agent_executions where agent_type = 'builder' and status = 'running'")
    place.sql("update agent_stacks set execution_state = 'stopped' where id = %s", stack)
    place.until("select count(*) > 0 from llm_calls where stack_id = %s and error = 'cancelled'", stack, within=1.5)
    assert place.one("select count(*) from artifacts where stack_id = %s", stack) == 0
    assert place.one("select count(*) from agent_traces where stack_id = %s and agent_type = 'builder'", stack) == 0
    assert place.one("select status || attempts from todos where stack_id = %s", stack) == "pending0"


def test_deleting_a_stack_under_a_run_cancels_it_and_keeps_its_costs(place: Any, daemon: Start) -> None:
    stack = place.stack("Boats")
    process = daemon("60")
    place.until("select count(*) > 0 from agent_executions where agent_type = 'builder' and status = 'running'")
    place.sql("delete from agent_stacks where id = %s", stack)
    place.until("select count(*) > 0 from llm_calls where stack_id = %s and error = 'cancelled'", stack, within=2)
    assert process.poll() is None
