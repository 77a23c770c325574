"""Quota and budget: reserved when a run begins, settled when it commits, shared by everybody, lifted by an UPDATE."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import anyio
import asyncpg
import pytest

from minibase.postgres.endpoint import Login

NOON = "2026-01-01T12:00:00Z"
MINUTE = {"requests_per_minute": 6, "tokens_per_minute": 6_000}


def offer(
    tokens: int = 100, usd: str = "0.10", provider: str = "groq", model: str = "m", **more: Any
) -> dict[str, Any]:
    return {"provider": provider, "model": model, "tokens": tokens, "usd": usd, **more}


def call(run: dict[str, Any], *, tokens: int = 100, usd: str = "0.01", **columns: Any) -> dict[str, Any]:
    """A ledger row as the daemon sends it."""
    return {
        "id": str(uuid.uuid4()), "attempt": 1, "provider": "groq", "model": "m", "tokens_in": tokens, "tokens_out": 0,
        "cost_usd": usd, "finish_reason": "stop", "simulated": False, **columns,
    }  # fmt: skip


async def limit(db, **columns: int) -> None:
    names = ["provider", "model", *columns]
    marks = ", ".join(f"${n}" for n in range(1, len(names) + 1))
    await db.admin.execute(
        f"insert into model_limits ({', '.join(names)}) values ({marks})", "groq", "m", *columns.values()
    )


async def budget(db, **columns: Any) -> uuid.UUID:
    columns = {"per": "day", **columns}
    marks = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return await db.admin.fetchval(
        f"insert into budgets ({', '.join(columns)}) values ({marks}) returning id", *columns.values()
    )


async def used(db, id_: uuid.UUID) -> float:
    return float(await db.one("select used_usd from budgets_now where id = $1", id_))


async def level(db, kind: str) -> float:
    return round(await db.one("select level from internal.quota_now(internal.clock()) where kind = $1", kind), 3)


@pytest.fixture
async def claimed(db):
    """Three leased stacks at noon."""
    await db.set_clock(NOON)
    for n in range(3):
        await db.stack(f"Stack {n}")
    return await db.claim()


async def begin_many(db, claimed: list[dict[str, Any]], *agents: str, **run: Any) -> list[dict[str, Any]]:
    return [await db.begin(stack, agent, **run) for agent in agents for stack in claimed]


def verdicts(runs: list[dict[str, Any]]) -> list[str]:
    return [run["answer"]["verdict"] for run in runs]


# Quota ---------------------------------------------------------------------------------------------------------------


async def test_without_limits_and_budgets_every_run_gets_its_first_offer(db, claimed):
    run = await db.begin(claimed[0], offers=[offer(), offer(provider="openai")])
    assert (run["answer"]["verdict"], run["answer"]["provider"], run["answer"]["usd"]) == ("begun", "groq", 0.1)


async def test_requests_are_taken_until_there_are_none_and_come_back_evenly(db, claimed):
    await limit(db, requests_per_minute=6)
    runs = await begin_many(db, claimed, "planner", "builder", "reviewer", offers=[offer()])
    assert verdicts(runs) == ["begun"] * 6 + ["waiting"] * 3
    last = runs[-1]["answer"]
    assert last["reason"] == "waiting for quota: groq allows 6 requests per minute of m"
    assert last["wait_ms"] == 10_000
    await db.pass_time(10)
    assert verdicts(await begin_many(db, claimed, "reviewer", offers=[offer()])) == ["begun", "waiting", "waiting"]


async def test_runs_of_one_batch_are_told_to_come_back_one_after_the_other(db, claimed):
    await limit(db, requests_per_minute=6)
    await begin_many(db, claimed, "planner", "builder", offers=[offer()])
    runs = [
        {
            "run_id": str(uuid.uuid4()), "stack_id": stack["stack_id"], "fence": stack["fence"], "agent": "reviewer",
            "priority": 5 + n, "reason": "r", "key": "k", "work_at": NOON, "offers": [offer()],
        }
        for n, stack in enumerate(claimed)
    ]  # fmt: skip
    answer = await db.verb("begin_runs", worker=str(uuid.uuid4()), runs=runs)
    waits = {run["run_id"]: run["wait_ms"] for run in answer["runs"]}
    assert [waits[run["run_id"]] for run in runs] == [30_000, 20_000, 10_000], "the more important the sooner"


async def test_tokens_are_reserved_by_the_estimate_and_settled_by_what_was_used(db, claimed):
    await limit(db, **MINUTE)
    run = await db.begin(claimed[0], offers=[offer(tokens=5_000)])
    assert await level(db, "tokens per minute") == 1_000
    await db.commit(run | {"calls": [call(run, tokens=700)]})
    assert await level(db, "tokens per minute") == 5_300
    assert await level(db, "requests per minute") == 5


async def test_a_run_that_made_no_call_gives_everything_back_and_one_that_made_two_pays_two(db, claimed):
    await limit(db, **MINUTE)
    idle, busy = await begin_many(db, claimed[:2], "builder", offers=[offer(tokens=1_000)])
    await db.commit(idle)
    assert (await level(db, "tokens per minute"), await level(db, "requests per minute")) == (5_000, 5)
    told = busy | {"calls": [call(busy, tokens=300), call(busy, tokens=400, attempt=2)]}
    await db.commit(told)
    await db.commit(told)  # the answer to the first was lost
    assert (await level(db, "tokens per minute"), await level(db, "requests per minute")) == (5_300, 4)


async def test_the_second_offer_steps_in_where_the_first_ones_quota_is_used_up(db, claimed):
    await limit(db, requests_per_minute=1)
    runs = await begin_many(db, claimed[:2], "builder", offers=[offer(), offer(provider="openai")])
    assert [run["answer"]["provider"] for run in runs] == ["groq", "openai"]


async def test_a_prompt_larger_than_the_whole_quota_goes_through_when_it_is_full(db, claimed):
    await limit(db, tokens_per_minute=1_000)
    first, second = await begin_many(db, claimed[:2], "builder", offers=[offer(tokens=2_500)])
    assert verdicts([first, second]) == ["begun", "waiting"]
    assert second["answer"]["wait_ms"] == 150_000


async def test_what_a_provider_says_of_its_limits_counts_and_an_operators_word_goes_before_it(db, claimed):
    said = {"provider": "groq", "model": "m", "kind": "requests per minute", "capacity": 60, "remaining": 1}
    await db.verb("commit_runs", worker=str(uuid.uuid4()), limits=[said])
    runs = await begin_many(db, claimed[:2], "builder", offers=[offer()])
    assert verdicts(runs) == ["begun", "waiting"]
    assert runs[1]["answer"]["wait_ms"] == 1_000
    await limit(db, requests_per_minute=6)
    await db.pass_time(5)
    waiting = (await db.begin(claimed[1], offers=[offer()]))["answer"]
    assert (waiting["verdict"], waiting["wait_ms"]) == ("waiting", 5_000), "six a minute now"


async def test_a_model_that_has_told_nothing_is_asked_by_few_until_it_has(db, claimed):
    """Its limits come with its first answer: until then a fleet would run into them."""
    first = offer(metered=True)
    runs = await begin_many(db, claimed, "planner", "builder", offers=[first])
    assert verdicts(runs) == ["begun"] * 4 + ["waiting"] * 2
    last = runs[-1]["answer"]
    assert last["reason"] == "waiting for quota: groq has not said yet what it allows of m"
    assert last["wait_ms"] <= 1_000
    told = {"provider": "groq", "model": "m", "kind": "requests per minute", "capacity": 600, "remaining": 590}
    await db.commit(runs[0] | {"calls": [call(runs[0])]}, limits=[told])
    assert verdicts(await begin_many(db, claimed, "reviewer", "communicator", offers=[first])) == ["begun"] * 6


async def test_a_model_that_answers_and_tells_no_limit_has_none(db, claimed):
    runs = await begin_many(db, claimed, "planner", "builder", offers=[offer(metered=True)])
    failed = call(runs[0]) | {"error": "503"}
    await db.commit(runs[0] | {"status": "deferred", "calls": [failed]})
    assert verdicts(await begin_many(db, claimed, "reviewer", offers=[offer(metered=True)])) == ["waiting"] * 3
    await db.pass_time(0.5)
    first = await begin_many(db, claimed[1:], "builder", offers=[offer(metered=True)])
    assert verdicts(first) == ["begun", "begun"], "four more a second, and who waited longest goes first"
    await db.commit(runs[1] | {"calls": [call(runs[1])]})
    runs = await begin_many(db, claimed, "reviewer", "communicator", offers=[offer(metered=True)])
    assert verdicts(runs) == ["begun"] * 6


async def test_a_model_with_an_operators_limit_needs_no_first_answer(db, claimed):
    await limit(db, requests_per_minute=600)
    runs = await begin_many(db, claimed, "planner", "builder", offers=[offer(metered=True)])
    assert verdicts(runs) == ["begun"] * 6


@pytest.mark.parametrize(
    "leaves",
    ["delete from agent_stacks where id = $1", "update agent_stacks set execution_state = 'paused' where id = $1"],
)
async def test_who_left_holds_no_place_in_the_queue(db, claimed, leaves):
    await limit(db, requests_per_minute=1)
    first, second, third = claimed
    assert (await db.begin(first, offers=[offer()]))["answer"]["verdict"] == "begun"
    assert (await db.begin(second, offers=[offer()]))["answer"]["wait_ms"] == 60_000
    await db.pass_time(1)
    assert (await db.begin(third, offers=[offer()]))["answer"]["wait_ms"] == 119_000, "behind it"
    await db.admin.execute(leaves, uuid.UUID(second["stack_id"]))
    await db.pass_time(59)
    assert (await db.begin(third, offers=[offer()]))["answer"]["verdict"] == "begun"
    assert await db.one("select count(*) from internal.quota_queue") == 0


async def test_a_begin_told_twice_reserves_once(db, claimed):
    await limit(db, requests_per_minute=6)
    run = await db.begin(claimed[0], offers=[offer()])
    body = {key: value for key, value in run.items() if key != "answer"}
    [again] = (await db.verb("begin_runs", worker=str(uuid.uuid4()), runs=[body]))["runs"]
    assert (again["verdict"], again["provider"], again["usd"]) == ("begun", "groq", 0.1)
    assert await level(db, "requests per minute") == 5


async def test_two_daemons_at_once_never_take_more_than_there_is(db):
    for n in range(20):
        await db.stack(f"Stack {n}")
    stacks = await db.claim()
    await limit(db, requests_per_day=7)
    begun: list[str] = []

    async def daemon(mine: list[dict[str, Any]]) -> None:
        connection = await asyncpg.connect(db.endpoint.dsn(Login.API))
        other = type(db)(endpoint=db.endpoint, machine=connection, admin=db.admin)
        begun.extend([(await other.begin(stack, offers=[offer()]))["answer"]["verdict"] for stack in mine])
        await connection.close()

    async with anyio.create_task_group() as tasks:
        for n in range(4):
            tasks.start_soon(daemon, stacks[n::4])
    assert begun.count("begun") == 7


# Budget --------------------------------------------------------------------------------------------------------------


async def test_what_is_spent_and_what_may_be_spent_count_against_a_budget(db, claimed):
    whole = await budget(db, usd=0.25)
    first, second, third = await begin_many(db, claimed, "builder", offers=[offer(usd="0.10")])
    assert verdicts([first, second, third]) == ["begun", "begun", "waiting"]
    assert third["answer"]["reason"] == "budget exhausted: all stacks may spend 0.25 USD a day"
    assert third["answer"]["wait_ms"] == 2_000, "the others have only reserved it"
    await db.commit(first | {"calls": [call(first, usd="0.01")]})
    assert await used(db, whole) == 0.01
    again = await db.begin(claimed[2], offers=[offer(usd="0.10")])
    assert again["answer"]["verdict"] == "begun"
    await db.commit(second | {"calls": [call(second, usd="0.09")]}, again | {"calls": [call(again, usd="0.09")]})
    spent = (await db.begin(claimed[0], "reviewer", offers=[offer(usd="0.10")]))["answer"]
    assert (spent["verdict"], spent["wait_ms"]) == ("waiting", 12 * 3_600_000), "until midnight, UTC"


async def test_a_budget_of_all_time_waits_for_somebody(db, claimed):
    await budget(db, usd=0.05, per="all time")
    answer = (await db.begin(claimed[0], offers=[offer()]))["answer"]
    assert answer["verdict"] == "waiting"
    assert answer["wait_ms"] is None
    assert answer["reason"] == "budget exhausted: all stacks may spend 0.05 USD in all"


async def test_budgets_of_a_stack_of_a_role_and_in_tokens(db, claimed):
    stack = claimed[0]["stack_id"]
    await budget(db, stack_id=stack, usd=0.05)
    await budget(db, agent_type="reviewer", tokens=150)
    runs = await begin_many(db, claimed, "builder", "reviewer", offers=[offer(tokens=100)])
    assert verdicts(runs) == ["waiting", "begun", "begun", "waiting", "begun", "waiting"]
    assert runs[0]["answer"]["reason"] == "budget exhausted: this stack may spend 0.05 USD a day"
    assert runs[-1]["answer"]["reason"] == "budget exhausted: reviewers of all stacks may spend 150 tokens a day"


@pytest.mark.parametrize(
    ("usd", "tokens", "begun"), [(3.0, 3_000, 3), (2.99, 3_000, 2), (3.0, 2_999, 2), (1.0, 1_000, 1)]
)
async def test_a_batch_that_fits_exactly_is_granted_and_one_that_does_not_by_what_still_fits(
    db, claimed, usd, tokens, begun
):
    """Together or one by one: the budget counts in dollars, the quota in tokens."""
    await db.admin.execute("insert into budgets (per, usd) values ('day', $1)", usd)
    await limit(db, tokens_per_minute=tokens)
    runs = [
        {
            "run_id": str(uuid.uuid4()), "stack_id": stack["stack_id"], "fence": stack["fence"], "agent": "builder",
            "priority": 5, "reason": "r", "key": "k", "work_at": NOON, "offers": [offer(tokens=1_000, usd=1)],
        }
        for stack in claimed
    ]  # fmt: skip
    answer = await db.verb("begin_runs", worker=str(uuid.uuid4()), runs=runs)
    assert [run["verdict"] for run in answer["runs"]].count("begun") == begun
    assert await level(db, "tokens per minute") == tokens - 1_000 * begun


async def test_a_new_budget_knows_what_was_spent_today(db, claimed):
    run = await db.begin(claimed[0], offers=[offer()])
    await db.commit(run | {"calls": [call(run, usd="0.40")]})
    today, ever = await budget(db, usd=1), await budget(db, usd=1, per="all time")
    assert (await used(db, today), await used(db, ever)) == (0.4, 0.4)
    await db.pass_time(12 * 3_600)
    assert (await used(db, today), await used(db, ever)) == (0, 0.4)


async def test_what_a_lost_worker_may_have_spent_counts_until_it_reports(db, claimed):
    whole = await budget(db, usd=1)
    run = await db.begin(claimed[0], offers=[offer(usd="0.30")])
    await db.pass_time(16)
    await db.claim()
    assert await used(db, whole) == 0.3
    await db.commit(run | {"calls": [call(run, usd="0.02")]})  # it was only frozen
    assert await used(db, whole) == 0.02


async def test_raising_a_budget_wakes_whoever_waits_for_it(db, claimed):
    whole = await budget(db, usd=0.05, per="all time")
    stack = claimed[0]
    refused = (await db.begin(stack, offers=[offer()]))["answer"]
    settlement = {
        "stack_id": stack["stack_id"], "fence": stack["fence"], "wakes": stack["wakes"], "due_in_ms": None,
        "wait_reason": refused["reason"],
    }  # fmt: skip
    await db.commit(settlements=(settlement,))
    shown = "select wait_kind from stack_status where stack_id = $1"
    assert await db.one(shown, uuid.UUID(stack["stack_id"])) == "budget_exhausted"
    assert await db.claim() == []
    await db.as_operator("update budgets set usd = 1 where id = $1", whole)
    [woken] = await db.claim()
    assert woken["stack_id"] == stack["stack_id"]
    assert (await db.begin(woken, offers=[offer()]))["answer"]["verdict"] == "begun"


async def test_only_operators_set_limits_and_budgets_and_visitors_do_not_see_them(db):
    await db.as_operator("insert into budgets (per, usd) values ('day', 1)")
    await db.as_operator("insert into model_limits (provider, model, requests_per_day) values ('groq', 'm', 1)")
    assert len(await db.as_operator("select * from budgets_now")) == 1
    assert await db.as_person("select * from budgets_now", role="authenticated") == []
    for table in ("budgets", "budgets_now", "model_limits", "spending"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.as_person(f"select * from {table}")
    read_only = {"role": "operator", "read_only": True}
    assert await db.as_person("update budgets set usd = 9 returning id", role="authenticated", app=read_only) == []


async def test_a_budget_keeps_its_scope(db):
    id_ = await budget(db, usd=1)
    with pytest.raises(asyncpg.PostgresError, match="delete it and make another"):
        await db.as_operator("update budgets set agent_type = 'builder' where id = $1", id_)


async def test_the_ledger_by_hour_stack_role_and_model(db, claimed):
    for n, stack in enumerate(claimed[:2]):
        run = await db.begin(stack, offers=[offer()])
        calls = [call(run, usd="0.02"), call(run, usd="0", tokens=0, attempt=2, error="500")]
        await db.commit(run | {"calls": calls[: n + 1]})
    rows = await db.as_operator("select calls, failed, cost_usd, hour::text from spending order by calls")
    assert [(r["calls"], r["failed"], float(r["cost_usd"])) for r in rows] == [(1, 0, 0.02), (2, 1, 0.02)]
    assert {r["hour"] for r in rows} == {"2026-01-01 12:00:00+00"}


async def test_todays_sums_by_stack_are_for_operators_and_begin_at_midnight(db, claimed):
    first, second = claimed[0]["stack_id"], claimed[1]["stack_id"]
    insert = """insert into llm_calls
        (id, run_id, stack_id, agent_type, attempt, provider, model, tokens_in, cost_usd, error, created_at)
        values (gen_random_uuid(), gen_random_uuid(), $1, 'builder', 1, $2, 'm', 100, $3, $4, $5::text::timestamptz)"""
    for stack, provider, usd, error, at in (
        (first, "groq", "0.25", None, "2026-01-01T00:00:00Z"),
        (first, "groq", "0", "503", NOON),
        (second, "openai", "1.5", None, NOON),
        (second, "openai", "9", None, "2025-12-31T23:59:59Z"),  # yesterday
        (second, "unknown", "9", "lost with its worker", NOON),  # perhaps never paid
    ):
        await db.admin.execute(insert, stack, provider, Decimal(usd), error, at)
    rows = await db.as_operator("select * from spending_today order by cost_usd")
    told = [(str(row["stack_id"]), row["calls"], row["failed"], row["tokens_in"], row["cost_usd"]) for row in rows]
    assert told == [(first, 2, 1, 200, Decimal("0.25")), (second, 1, 0, 100, Decimal("1.5"))]
    assert await db.as_person("select * from spending_today", role="authenticated") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await db.as_person("select * from spending_today")
