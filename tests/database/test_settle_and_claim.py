"""commit_runs with ``claim``: who ends cycles takes the most urgent due stacks in the same call."""

from __future__ import annotations

import uuid

import pytest


def settlement(claimed, **more):
    same = {key: claimed[key] for key in ("stack_id", "fence", "wakes")}
    return same | {"due_in_ms": 0, "wait_reason": None, **more}


def terms(**more):
    return {"max": 100, "lease_ms": 15000, "claim": 7, **more}


async def settle(db, *settlements, worker=None, runs=(), **claim):
    """One commit that ends these cycles and claims; its verdicts by stack, and what it claimed."""
    worker = worker or str(uuid.uuid4())
    answer = await db.commit(
        *runs, settlements=settlements, worker=worker, cadence_ms=10000, claim=terms(**claim) if claim else terms()
    )
    return answer, answer["claimed"]


async def test_a_stack_that_is_due_at_once_comes_back_in_the_call_that_ends_its_cycle(db):
    me = str(uuid.uuid4())
    stack = await db.stack()
    [first] = await db.claim(me, claim=1)
    run = await db.begin(first, "planner")
    todo = {"op": "add_todo", "content": "Build a nest", "priority": 3, "assigned_to": "builder"}
    answer, claimed = await settle(db, settlement(first), worker=me, runs=(run | {"changes": [todo]},), claim=2)
    assert answer["verdicts"] == {run["run_id"]: "done"}
    assert answer["settled"] == {str(stack): "done"}
    [again] = claimed["stacks"]
    assert (again["stack_id"], again["fence"]) == (str(stack), first["fence"] + 1)
    assert [todo["content"] for todo in again["snapshot"]["todos"]] == ["Build a nest"], "it shows what just landed"
    assert again["snapshot"]["agents"]["planner"]["last_run_at"] is not None
    row = await db.admin.fetchrow("select lease_owner::text, claim, total_cycles from stack_schedule")
    assert tuple(row) == (me, 2, 1)


async def test_the_most_urgent_due_stack_gets_the_place_and_no_more_than_one_for_each_that_ended(db):
    await db.stack("Ours", priority=3)
    [ours] = await db.claim()
    urgent, other = await db.stack("Urgent", priority=9), await db.stack("Other", priority=5)
    _, claimed = await settle(db, settlement(ours))
    assert [s["stack_id"] for s in claimed["stacks"]] == [str(urgent)]
    assert claimed["next_wake_at"] == claimed["now"], "somebody is due and free"
    _, claimed = await settle(db, settlement(claimed["stacks"][0], due_in_ms=None))
    assert [s["stack_id"] for s in claimed["stacks"]] == [str(other)]


async def test_the_worker_may_ask_for_fewer_than_it_ended(db):
    await db.stack("One")
    await db.stack("Two")
    one, two = await db.claim()
    _, claimed = await settle(db, settlement(one), settlement(two), max=1)
    assert len(claimed["stacks"]) == 1


@pytest.mark.parametrize(("due_in_ms", "state"), [(60000, "running"), (None, "running"), (0, "paused")])
async def test_what_is_not_due_or_does_not_run_is_not_claimed(db, due_in_ms, state):
    await db.stack()
    [claimed] = await db.claim()
    await db.admin.execute("update agent_stacks set execution_state = $1", state)
    _, again = await settle(db, settlement(claimed, due_in_ms=due_in_ms, wakes=await _wakes(db)))
    assert again["stacks"] == []


async def _wakes(db) -> int:
    return await db.one("select wakes from stack_schedule")


async def test_without_a_claim_nothing_is_taken(db):
    await db.stack()
    [claimed] = await db.claim()
    answer = await db.commit(settlements=(settlement(claimed),), cadence_ms=10000)
    assert (answer["settled"], answer["claimed"]) == ({claimed["stack_id"]: "done"}, None)


async def test_a_settlement_that_counts_for_nothing_brings_no_stack(db):
    """Delivered once more, it finds its stack under the next fence."""
    await db.stack("One")
    [one] = await db.claim()
    me = str(uuid.uuid4())
    _, first = await settle(db, settlement(one), worker=me)
    assert len(first["stacks"]) == 1
    await db.stack("Two")
    answer, again = await settle(db, settlement(one), worker=me)
    assert (answer["settled"], again) == ({one["stack_id"]: "stale"}, None)


async def test_a_claim_that_fails_takes_nothing_back(db):
    await db.stack()
    [claimed] = await db.claim()
    run = await db.begin(claimed, "planner")
    answer, again = await settle(db, settlement(claimed), runs=(run,), lease_ms="long")
    assert (answer["verdicts"], again) == ({run["run_id"]: "done"}, None)
    assert await db.one("select status from agent_executions") == "completed"
    assert await db.one("select count(*) from stack_schedule where lease_owner is not null") == 0


async def test_the_fleets_limit_holds_here_too(db):
    await db.stack("One")
    await db.stack("Two")
    one, _ = await db.claim()
    _, none = await settle(db, settlement(one), fleet_max=1)
    assert none["stacks"] == [], "the other stack fills the fleet"
    [third] = await db.claim()
    _, claimed = await settle(db, settlement(third), fleet_max=2)
    assert len(claimed["stacks"]) == 1
