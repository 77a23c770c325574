from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import anyio
import pytest

from agents.snapshot import Snapshot
from agents.work import Agenda
from orchestrator.daemon import TickError, tick
from orchestrator.facts import AgentBroke, CycleBroke, RunCommitted, SignalsUp

from .conftest import PATIENCE_S, Model, Talker, World, answering

TRACES = "select count(*) from public.agent_traces where stack_id = $1 and action = 'talk'"


async def test_a_fresh_stack_is_played_and_then_left_alone(world: World) -> None:
    model = answering("hoot")
    stack = await world.stack()
    async with world.daemon([Talker(turns=3)], [model]):
        await world.until(f"select ({TRACES}) = 3", stack)
        reason = await world.until(
            "select wait_reason from public.stack_status where stack_id = $1 and wait_reason like 'idle%'", stack
        )
    assert reason == "idle: nothing to do"
    assert model.calls == 3, "an idle stack makes no model call"
    row = await world.admin.fetchrow("select due_at, lease_owner from public.stack_schedule where stack_id = $1", stack)
    assert (row["due_at"], row["lease_owner"]) == (None, None)
    ledger = await world.admin.fetchrow("select count(*) as n, sum(tokens_in) as t from public.llm_calls")
    assert (ledger["n"], ledger["t"]) == (3, 30)


async def test_play_by_update_is_heard_at_once(world: World) -> None:
    stack = await world.stack(state="idle")
    async with world.daemon([Talker()], [answering()], cadence_s=60):
        await world.until_fact(SignalsUp)
        await world.move(stack, "running")
        await world.until(f"select ({TRACES}) = 1", stack, within_s=3)


async def test_stop_cancels_the_call_in_flight_and_nothing_lands(world: World) -> None:
    asked, cancelled = anyio.Event(), anyio.Event()

    async def think() -> str:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    stack = await world.stack()
    async with world.daemon([Talker()], [Model(think=think)], cadence_s=60):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
        await world.move(stack, "stopped")
        with anyio.fail_after(2):
            await cancelled.wait()
        await world.until("select count(*) = 1 from public.llm_calls where error = 'cancelled'")
    assert await world.admin.fetchval(TRACES, stack) == 0


async def test_pause_lets_the_run_land_and_starts_nothing_new(world: World) -> None:
    asked, answer = anyio.Event(), anyio.Event()

    async def think() -> str:
        asked.set()
        await answer.wait()
        return "late"

    stack = await world.stack()
    model = Model(think=think)
    async with world.daemon([Talker(turns=5)], [model], cadence_s=60):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
        await world.move(stack, "paused")
        answer.set()
        await world.until(f"select ({TRACES}) = 1", stack)
        await world.until("select lease_owner is null from public.stack_schedule where stack_id = $1", stack)
        assert model.calls == 1
        await world.move(stack, "running")
        await world.until(f"select ({TRACES}) = 5", stack)


async def test_a_bug_in_an_agent_ends_its_run_with_the_trace_and_nobody_else(world: World) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    stack = await world.stack()
    agents = [Talker(name="planner", on_ask=broken), Talker(name="reviewer")]
    async with world.daemon(agents, [answering()]):
        await world.until(f"select ({TRACES}) = 1", stack)
        error = await world.until("select error from public.agent_executions where status = 'failed' limit 1")
        reason = await world.until("select wait_reason from public.stack_status where wait_reason like 'next%'")
    assert "ZeroDivisionError" in error
    assert "Traceback" in error
    assert reason.startswith("next look at")
    assert any(isinstance(fact, AgentBroke) for fact in world.facts)


async def test_a_plug_in_that_breaks_a_cycle_stops_neither_the_daemon_nor_other_stacks(world: World) -> None:
    class Misled(Talker):
        def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
            agenda = super().find_work(snapshot, now)
            if snapshot.stack.name == "Owls":
                return replace(agenda, work=tuple(replace(work, agent="nobody") for work in agenda.work))
            return agenda

    await world.stack("Owls")
    other = await world.stack("Boats")
    async with world.daemon([Misled()], [answering()]):
        await world.until_fact(CycleBroke)
        await world.until(f"select ({TRACES}) = 1", other)


async def test_a_stack_whose_agent_could_not_say_what_to_do_is_looked_at_again(world: World) -> None:
    class Confused(Talker):
        def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
            raise ZeroDivisionError

    stack = await world.stack()
    async with world.daemon([Confused()], [answering()]):
        due = "select due_at > now() + interval '30 seconds' from public.stack_schedule where stack_id = $1"
        assert await world.until(due, stack)


async def test_cancelling_the_daemon_lets_runs_finish(world: World) -> None:
    asked = anyio.Event()

    async def think() -> str:
        asked.set()
        await anyio.sleep(0.2)
        return "done"

    stack = await world.stack()
    async with world.daemon([Talker()], [Model(think=think)]):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
    assert await world.admin.fetchval(TRACES, stack) == 1
    assert await world.admin.fetchval("select stopped_at is not null from public.workers")
    assert await world.admin.fetchval("select count(*) from public.stack_schedule where lease_owner is not null") == 0


async def test_a_run_that_outlives_the_grace_time_gives_its_work_back(world: World) -> None:
    asked = anyio.Event()

    async def think() -> str:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    await world.stack()
    async with world.daemon([Talker()], [Model(think=think)], grace_s=0.1):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
    assert await world.admin.fetchval("select status from public.agent_executions") == "deferred"
    assert await world.admin.fetchval("select due_at is not null from public.stack_schedule")


async def test_two_daemons_share_the_stacks_and_nothing_runs_twice(world: World) -> None:
    for number in range(20):
        await world.stack(f"Team {number}")
    async with (
        world.daemon([Talker(turns=2), Talker(name="reviewer", turns=2)], [answering()]),
        world.daemon([Talker(turns=2), Talker(name="reviewer", turns=2)], [answering()]),
    ):
        await world.until("select count(*) = 80 from public.agent_traces where action = 'talk'")
        await world.until("select count(*) = 20 from public.stack_status where wait_reason like 'idle%'")
    assert await world.admin.fetchval("select count(*) from public.agent_traces") == 80
    committed = [fact for fact in world.facts if isinstance(fact, RunCommitted)]
    assert {fact.verdict for fact in committed} == {"done"}


async def test_one_cycle_by_hand_runs_an_idle_stack_and_leaves_it_idle(world: World) -> None:
    stack = await world.stack(state="idle")
    report = await tick(stack, config=world.config(), agents={"planner": Talker()}, providers=[answering()])
    assert [run.status for run in report.runs] == ["completed"]
    assert await world.admin.fetchval(TRACES, stack) == 1
    assert await world.admin.fetchval("select execution_state from public.agent_stacks") == "idle"


@pytest.mark.parametrize("wanted", ["00000000-0000-0000-0000-000000000001", "owl"])
async def test_a_tick_of_nothing_says_so(world: World, wanted: str) -> None:
    with pytest.raises(TickError, match=wanted):
        await tick(wanted, config=world.config(), agents={"planner": Talker()}, providers=[answering()])
