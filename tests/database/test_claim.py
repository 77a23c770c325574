"""claim_due_stacks: who gets which stack, under which fence, and what the snapshot says."""

from __future__ import annotations

import uuid

import anyio
import asyncpg

from minibase.postgres.endpoint import Login


async def test_only_running_stacks_that_are_due_are_claimed(db):
    running = await db.stack("Running")
    await db.stack("Idle", "idle")
    assert [s["stack_id"] for s in await db.claim()] == [str(running)]


async def test_a_claimed_stack_is_nobody_elses_until_the_lease_ends(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    first = await db.claim()
    assert await db.claim() == []
    await db.pass_time(15.1)
    second = await db.claim()
    assert second[0]["fence"] == first[0]["fence"] + 1


async def heartbeat(db, worker, *leases, **more):
    request = {"name": "one", "version": "1", "slots": 1, "lease_ms": 15000, "leases": list(leases), **more}
    return await db.verb("heartbeat", worker=worker, **request)


def lease(stack):
    return {"stack_id": stack["stack_id"], "fence": stack["fence"]}


async def test_a_claim_does_not_take_over_from_its_own_worker(db):
    """Its lease ran out in an outage, and its claim comes before its heartbeat does; another worker's claim may."""
    me = str(uuid.uuid4())
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    [first] = await db.claim(me, claim=1)
    await db.pass_time(15.1)
    assert await db.claim(me, claim=2) == []
    [second] = await db.claim(str(uuid.uuid4()), claim=1)
    assert second["fence"] == first["fence"] + 1


async def test_the_heartbeat_after_a_lost_answer_gives_the_lease_back(db):
    """The claim is over, and the worker does not name what it brought: no run lives there."""
    me = str(uuid.uuid4())
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    [lost] = await db.claim(me, claim=1)
    assert (await heartbeat(db, me, claims=0))["released"] == 0, "its answer may still be on the way"
    assert await db.claim(me, claim=2) == []
    assert (await heartbeat(db, me, claims=2))["released"] == 1
    [again] = await db.claim(me, claim=3)
    assert again["fence"] == lost["fence"] + 1


async def test_what_a_worker_gives_up_ends_with_its_lease(db):
    """A cycle broke, or its worker leaves without having reached the database in time."""
    me = str(uuid.uuid4())
    stack = await db.stack()
    todo = await db.one("insert into todos (stack_id, content) values ($1, 'build it') returning id", stack)
    [claimed] = await db.claim(me, claim=1)
    await db.begin(claimed, item={"kind": "todo", "ids": [str(todo)]})
    person = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    async with person.transaction():
        await person.execute("update todos set priority = 9")
        assert (await heartbeat(db, me, claims=1))["released"] == 0, "it waits for nobody"
    await person.close()
    assert (await heartbeat(db, me, claims=1, stopping=True))["released"] == 1
    assert await db.one("select (status, attempts)::text from todos") == "(pending,1)"
    assert await db.one("select status from agent_executions") == "abandoned"
    assert await db.one("select count(*) from stack_schedule where lease_owner is not null") == 0


async def test_a_heartbeat_that_is_delivered_late_releases_nothing_that_was_claimed_since(db):
    me = str(uuid.uuid4())
    await db.stack()
    [first] = await db.claim(me, claim=1)
    assert (await heartbeat(db, me, lease(first), claims=1))["released"] == 0
    await db.commit(settlements=(lease(first) | {"wakes": first["wakes"], "due_in_ms": 0},))
    [second] = await db.claim(me, claim=2)
    pulse = await heartbeat(db, me, lease(first), claims=1)
    assert (pulse["released"], pulse["lost"]) == (0, [first["stack_id"]])
    assert (await heartbeat(db, me, lease(second), claims=2)) | {"now": None} == {
        "v": 2, "now": None, "renewed": 1, "released": 0, "due": 0, "lost": [], "halted": [],
    }  # fmt: skip
    assert await db.one("select (lease_owner, claim)::text from stack_schedule") == f"({me},2)"


async def test_a_lease_under_an_older_fence_is_not_lived_by(db):
    """The worker still winds its old cycle down, and the answer that brought the stack back was lost."""
    me, other = str(uuid.uuid4()), str(uuid.uuid4())
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    [first] = await db.claim(me, claim=1)
    await db.pass_time(15.1)
    [taken] = await db.claim(other, claim=1)
    await db.commit(settlements=(lease(taken) | {"wakes": taken["wakes"], "due_in_ms": 0},))
    await db.claim(me, claim=2)
    pulse = await heartbeat(db, me, lease(first), claims=2)
    assert (pulse["released"], pulse["lost"]) == (1, [first["stack_id"]])


async def test_a_worker_that_does_not_count_its_claims_gets_an_ended_lease_back(db):
    """A tick by hand, or a daemon from before claims were numbered: nothing else would release it."""
    me = str(uuid.uuid4())
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack()
    [first] = await db.claim(me)
    await db.pass_time(15.1)
    [second] = await db.claim(me)
    assert second["fence"] == first["fence"] + 1


async def test_a_heartbeat_says_how_many_stacks_anybody_could_claim(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    for n in range(3):
        await db.stack(f"Stack {n}")
    await db.stack("Idle", "idle")
    assert (await heartbeat(db, uuid.uuid4()))["due"] == 3
    await db.claim(max=2)
    assert (await heartbeat(db, uuid.uuid4()))["due"] == 1
    await db.pass_time(15.1)
    assert (await heartbeat(db, uuid.uuid4()))["due"] == 3, "the leases have ended"


async def test_a_heartbeat_says_how_many_leases_it_renewed(db):
    """One that somebody holds is neither renewed nor lost, and not released."""
    me = str(uuid.uuid4())
    for n in range(4):
        await db.stack(f"Stack {n}")
    leases = [lease(stack) for stack in await db.claim(me, claim=1)]
    other = await asyncpg.connect(db.endpoint.dsn(Login.OWNER))
    held = [row["stack_id"] for row in (leases[0], leases[3])]
    async with other.transaction():
        await other.execute("select from stack_schedule where stack_id = any ($1) for update", held)
        pulse = await heartbeat(db, me, leases[0], leases[1], leases[2] | {"fence": 0}, claims=1)
    await other.close()
    assert (pulse["renewed"], pulse["released"], pulse["lost"]) == (1, 1, [leases[2]["stack_id"]])


async def test_two_daemons_at_once_share_the_stacks_without_overlap(db):
    for n in range(40):
        await db.stack(f"Stack {n}")
    got: list[str] = []

    async def daemon() -> None:
        connection = await asyncpg.connect(db.endpoint.dsn(Login.API))
        other = type(db)(endpoint=db.endpoint, machine=connection, admin=db.admin)
        for _ in range(5):
            got.extend(s["stack_id"] for s in await other.claim(max=5))
        await connection.close()

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(daemon)
    assert len(got) == len(set(got)) == 40


async def test_priority_goes_first_but_waiting_outweighs_it_in_time(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    low = await db.stack("Low", priority=2)
    await db.pass_time(20)
    high = await db.stack("High", priority=5)
    assert [s["stack_id"] for s in await db.claim(max=1)] == [str(high)]
    await db.admin.execute("delete from agent_stacks where id = $1", high)
    await db.set_clock("2026-01-01T00:05:00Z")
    await db.stack("Higher", priority=10)
    assert [s["stack_id"] for s in await db.claim(max=1)] == [str(low)]


async def test_the_snapshot_names_the_agents_that_ran_remember_or_were_told_something(db):
    stack = await db.stack()
    for change, agent in (
        ("last_run_at = now()", "planner"),
        ("""memory = '{"a": 1}'""", "builder"),
        ("""inbox = '{"r1": {"text": "look"}}'""", "reviewer"),
    ):
        await db.admin.execute(
            f"update agent_states set {change} where stack_id = $1 and agent_type = $2", stack, agent
        )
    [claimed] = await db.claim()
    agents = claimed["snapshot"]["agents"]
    assert set(agents) == {"planner", "builder", "reviewer"}
    assert agents["builder"]["memory"] == {"a": 1}


async def test_failed_todos_come_after_the_open_ones_each_by_priority(db):
    stack = await db.stack()
    await db.admin.execute("set stackbeat.machine = 'on'")
    for content, priority, status in (
        ("lost", 9, "failed"),
        ("low", 2, "pending"),
        ("high", 7, "pending"),
        ("gone", 10, "cancelled"),
    ):
        await db.admin.execute(
            "insert into todos (stack_id, content, priority, status) values ($1, $2, $3, $4)",
            stack,
            content,
            priority,
            status,
        )
    [claimed] = await db.claim()
    assert [t["content"] for t in claimed["snapshot"]["todos"]] == ["high", "low", "lost"]
    counts = {"pending": 2, "in_progress": 0, "completed": 0, "cancelled": 1, "failed": 1}
    assert claimed["snapshot"]["todo_counts"] == counts


async def test_the_next_wake_is_the_earliest_due_time_of_a_running_stack_and_never_past(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    request = {"worker": str(uuid.uuid4()), "max": 1, "lease_ms": 15000, "cadence_ms": 10000}
    answer = await db.verb("claim_due_stacks", **request)
    assert answer["next_wake_at"] is None
    stack = await db.stack()
    idle = await db.stack("Boats", "idle")
    await db.admin.execute("update stack_schedule set due_at = '2026-01-01T00:00:07Z' where stack_id = $1", stack)
    await db.admin.execute("update stack_schedule set due_at = '2026-01-01T00:00:03Z' where stack_id = $1", idle)
    answer = await db.verb("claim_due_stacks", **request)
    assert (answer["stacks"], answer["next_wake_at"]) == ([], "2026-01-01T00:00:07+00:00")
    await db.pass_time(7)
    answer = await db.verb("claim_due_stacks", **request)
    assert [s["stack_id"] for s in answer["stacks"]] == [str(stack)]
    assert answer["next_wake_at"] == "2026-01-01T00:00:22+00:00"  # the end of its lease
    await db.admin.execute("insert into internal.late_wakes (stack_id) values ($1)", stack)
    await db.admin.execute("update stack_schedule set lease_owner = null, lease_expires_at = null, due_at = null")
    assert await db.one("select internal.next_wake(internal.clock())") == await db.one("select internal.clock()")


async def test_the_snapshot_holds_what_agents_see(db):
    stack = await db.stack("Owls")
    other = await db.stack("Boats", "idle")
    await db.admin.execute("insert into project_ideas (stack_id, title) values ($1, 'Timer')", stack)
    await db.admin.execute(
        "insert into todos (stack_id, content, priority) values ($1, 'low', 2), ($1, 'high', 9)", stack
    )
    await db.admin.execute("insert into user_messages (stack_id, content) values ($1, 'hello')", stack)
    await db.admin.execute(
        """insert into messages (from_stack_id, content, message_type)
        values ($1, 'we launched', 'broadcast'), ($2, 'own', 'broadcast')""",
        other,
        stack,
    )
    [claimed] = await db.claim()
    seen = claimed["snapshot"]
    assert seen["stack"]["name"] == "Owls"
    assert seen["stack"]["cadence_ms"] == 10000
    assert seen["idea"]["title"] == "Timer"
    assert [t["content"] for t in seen["todos"]] == ["high", "low"]
    assert seen["todo_counts"]["pending"] == 2
    assert [m["content"] for m in seen["visitor_messages"]] == ["hello"]
    assert [m["content"] for m in seen["team_messages"]] == ["we launched"]
    assert seen["neighbours"] == [{"id": str(other), "name": "Boats"}]
    assert seen["agents"] == {}  # nobody has run yet, or was told anything
    assert seen["artifact"] is None


async def test_a_stack_by_hand_is_claimed_in_any_state(db):
    idle = await db.stack("Idle", "idle")
    [claimed] = await db.claim(stack_id=str(idle))
    run = {
        "run_id": str(uuid.uuid4()),
        "stack_id": str(idle),
        "fence": claimed["fence"],
        "agent": "planner",
        "priority": 10,
    }
    run |= {"reason": "no idea", "key": "idea", "work_at": None, "item": None, "needs_artifact": False}
    answer = await db.verb("begin_runs", worker=uuid.uuid4(), runs=[run])
    assert answer["runs"][0]["verdict"] == "begun"


async def test_next_wake_at_is_the_earliest_due_time_or_lease_end(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    await db.stack("A")
    answer = await db.verb("claim_due_stacks", worker=uuid.uuid4(), max=10, lease_ms=15000, cadence_ms=10000)
    assert answer["next_wake_at"] == "2026-01-01T00:00:15+00:00"
    await db.stack("B")
    answer = await db.verb("claim_due_stacks", worker=uuid.uuid4(), max=0, lease_ms=15000, cadence_ms=10000)
    assert answer["next_wake_at"] == "2026-01-01T00:00:00+00:00"


async def test_the_fleet_never_holds_more_stacks_than_it_may(db):
    await db.set_clock("2026-01-01T00:00:00Z")
    for n in range(6):
        await db.stack(f"Stack {n}")
    assert len(await db.claim(fleet_max=4)) == 4
    assert await db.claim(fleet_max=4) == []
    assert len(await db.claim(fleet_max=5)) == 1
    await db.pass_time(16)
    assert len(await db.claim(fleet_max=4)) == 4


async def test_two_daemons_that_count_at_once_stay_within_the_fleets_limit(db):
    for n in range(40):
        await db.stack(f"Stack {n}")
    got: list[str] = []

    async def daemon() -> None:
        connection = await asyncpg.connect(db.endpoint.dsn(Login.API))
        other = type(db)(endpoint=db.endpoint, machine=connection, admin=db.admin)
        for _ in range(10):
            got.extend(s["stack_id"] for s in await other.claim(max=3, fleet_max=7))
        await connection.close()

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(daemon)
    assert len(got) == 7
