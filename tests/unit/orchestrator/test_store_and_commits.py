"""The store over the official client, with scripted HTTP answers; the committer over that store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from supabase import AsyncClientOptions, acreate_client

from orchestrator.claims import Rhythm
from orchestrator.committer import Bundle, Committer
from orchestrator.config import Retention
from orchestrator.contact import Contact
from orchestrator.facts import Fact, Observer, OutcomeDropped, StoreAway, StoreBack, ignore
from orchestrator.fleet import Fleet
from orchestrator.pulse import Heart
from orchestrator.relay import Relay
from orchestrator.retention import Sweeper
from orchestrator.store import Store, StoreError, StoreFault
from orchestrator.verbs import Claim, Committed, CommitVerdict, FinishedRun, RunStatus, Settlement
from orchestrator.wake import Wake

NOW = "2026-11-22T10:00:00+00:00"
STACK, OTHER, RUN, RUN_2 = UUID(int=1), UUID(int=2), UUID(int=11), UUID(int=12)
Answer = Callable[[str, dict[str, Any]], httpx.Response]


def error(status: int, **body: Any) -> httpx.Response:
    return httpx.Response(status, json=body)


@asynccontextmanager
async def store_over(answer: Answer, observer: Observer) -> AsyncIterator[Store]:
    def handle(request: httpx.Request) -> httpx.Response:
        return answer(request.url.path.rpartition("/")[2], json.loads(request.content)["request"])

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
        client = await acreate_client("http://api.test", "sb_secret_x", options)
        yield Store(client, url="http://api.test", worker=UUID(int=9), observer=observer)


def unreachable(verb: str, request: dict[str, Any]) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("answer", "fault", "words"),
    [
        (unreachable, StoreFault.AWAY, "http://api.test"),
        (lambda *_: error(503, message="no", code="PGRST002"), StoreFault.AWAY, "PGRST002"),
        (lambda *_: error(500, message="cancelled", code="57014"), StoreFault.AWAY, "57014"),
        (lambda *_: httpx.Response(502, text="<html>bad gateway</html>"), StoreFault.AWAY, "502"),
        (lambda *_: httpx.Response(200, text="<html>hello</html>"), StoreFault.UNMIGRATED, "verbs_version"),
        (lambda *_: error(401, message="Invalid API key", hint="x"), StoreFault.DENIED, "service key"),
        (lambda *_: error(401, message="JWT expired", code="PGRST303"), StoreFault.DENIED, "service key"),
        (lambda *_: error(403, message="permission denied", code="42501"), StoreFault.DENIED, "service key"),
        (lambda *_: error(404, message="no function", code="PGRST202"), StoreFault.UNMIGRATED, "minibase migrate"),
        (lambda *_: error(400, message="run newer migrations", code="SB002"), StoreFault.UNMIGRATED, "newer"),
        (lambda *_: httpx.Response(200, json={"v": 2, "version": 3}), StoreFault.UNMIGRATED, "version 3"),
        (lambda *_: error(400, message="the request lacks x", code="SB001"), StoreFault.REFUSED, "lacks"),
        (lambda *_: error(400, message="bad uuid", code="22P02"), StoreFault.REFUSED, "22P02"),
    ],
)
async def test_foreign_errors_become_one_sentence_of_a_known_kind(
    answer: Answer, fault: StoreFault, words: str
) -> None:
    async with store_over(answer, ignore) as store:
        with pytest.raises(StoreError) as caught:
            await store.check_version()
    assert caught.value.fault is fault
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def run(run_id: UUID = RUN, stack: UUID = STACK, **fields: Any) -> FinishedRun:
    return FinishedRun(run_id=run_id, stack_id=stack, fence=1, agent="planner", status=RunStatus.COMPLETED, **fields)


RHYTHM = Rhythm(cadence_s=10, lease_s=15)
SETTLED = Settlement(stack_id=STACK, fence=1, wakes=0, due_in_ms=0, wait_reason=None)


def committed(request: dict[str, Any], verdict: str = "done") -> httpx.Response:
    return httpx.Response(
        200,
        json={
            "v": 2,
            "now": NOW,
            "next_wake_at": None,
            "runs": [{"run_id": r["run_id"], "verdict": verdict, "reason": None} for r in request["runs"]],
            "settled": [{"stack_id": s["stack_id"], "verdict": verdict} for s in request["settlements"]],
        },
    )


@asynccontextmanager
async def committer_over(answer: Answer, facts: list[Fact]) -> AsyncIterator[Committer]:
    async with store_over(answer, facts.append) as store:
        relay = Relay(fleet=Fleet(5), heart=_heart(store), wake=Wake(), rhythm=RHYTHM, observer=facts.append)
        committer = Committer(store, cadence_ms=10_000, observer=facts.append, relay=relay)
        async with anyio.create_task_group() as group:
            group.start_soon(committer.run)
            with anyio.fail_after(10):
                yield committer
            group.cancel_scope.cancel()


async def test_an_outcome_outlives_an_outage_and_keeps_its_run_id() -> None:
    seen: list[str] = []
    facts: list[Fact] = []

    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        seen.append(request["runs"][0]["run_id"])
        return unreachable(verb, request) if len(seen) < 3 else committed(request)

    async with committer_over(answer, facts) as committer:
        verdicts = await committer.commit(Bundle(runs=(run(),), settlement=SETTLED))
    assert verdicts.runs[0].verdict is CommitVerdict.DONE
    assert verdicts.settled is CommitVerdict.DONE
    assert set(seen) == {str(RUN)}
    assert [type(fact) for fact in facts if isinstance(fact, StoreAway | StoreBack)] == [
        StoreAway,
        StoreAway,
        StoreBack,
    ]


async def test_only_the_first_attempt_of_a_commit_claims() -> None:
    requests: list[dict[str, Any]] = []

    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        requests.append(request)
        return unreachable(verb, request) if len(requests) == 1 else committed(request)

    async with store_over(answer, ignore) as store:
        await store.commit([run()], [SETTLED], cadence_ms=10_000, claim=RHYTHM.terms(1, number=4))
    assert requests[0]["claim"] == {"max": 1, "lease_ms": 15_000, "cadence_ms": 10_000, "claim": 4}
    assert "claim" not in requests[1], "what waits for its verdict must not wait for more than that"
    del requests[0]["claim"]
    assert requests[0] == requests[1]


@pytest.mark.parametrize("verb", ["heartbeat", "prune"])
async def test_whoever_says_that_the_store_is_away_is_heard_when_it_is_back(verb: str) -> None:
    seen: list[str] = []
    facts: list[Fact] = []
    back = anyio.Event()

    def observe(fact: Fact) -> None:
        facts.append(fact)
        if isinstance(fact, StoreBack):
            back.set()

    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        seen.append(verb)
        if len(seen) < 3:
            return unreachable(verb, request)
        return httpx.Response(200, json={"v": 1, "now": NOW, "released": 0, "lost": [], "halted": [], "deleted": {}})

    async with store_over(answer, observe) as store, anyio.create_task_group() as group:
        group.start_soon(_heart(store).run if verb == "heartbeat" else _sweeper(store).run)
        with anyio.fail_after(10):
            await back.wait()
        group.cancel_scope.cancel()
    assert [type(fact) for fact in facts] == [StoreAway, StoreAway, StoreBack]
    assert set(seen) == {verb}


def _heart(store: Store) -> Heart:
    return Heart(
        store=store, fleet=Fleet(1), observer=ignore, name="n", version="1", every_s=0.01, lease_ms=1_000, wake=Wake()
    )


async def test_a_heartbeat_says_which_claims_are_over() -> None:
    requests: list[dict[str, Any]] = []

    def answer(_: str, request: dict[str, Any]) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"v": 2, "now": NOW, "released": len(requests) - 1, "lost": [], "halted": []})

    async with store_over(answer, ignore) as store:
        heart = _heart(store)
        with heart.claiming() as first:
            await heart.beat()
        with pytest.raises(StoreError), heart.claiming() as second:
            raise StoreError(StoreFault.AWAY, "the answer was lost")
        await heart.beat()
    assert (first, second) == (1, 2)
    assert [request["claims"] for request in requests] == [0, 2]
    assert await heart.wake.wait(60) == "released", "what was given up is claimed at once"


def _sweeper(store: Store) -> Sweeper:
    return Sweeper(store=store, retention=Retention(every_s=0.01), observer=ignore)


def claimed(*, next_s: float | None) -> Claim:
    now = datetime.fromisoformat(NOW)
    return Claim(now=now, next_wake_at=None if next_s is None else now + timedelta(seconds=next_s))


async def test_a_backlog_lasts_as_long_as_every_answer_speaks_of_a_due_stack() -> None:
    contact = Contact()
    assert (contact.age_s(), contact.backlog_s()) == (None, 0)
    contact.note(claimed(next_s=0))
    await anyio.sleep(0.02)
    contact.note(claimed(next_s=0))
    assert contact.backlog_s() >= 0.02, "the second answer says the same: it began with the first"
    assert (contact.age_s() or 0) < contact.backlog_s()
    contact.note(claimed(next_s=60))
    assert contact.backlog_s() == 0
    contact.note(claimed(next_s=None))
    assert contact.backlog_s() == 0
    contact.note(claimed(next_s=0))
    assert contact.backlog_s() < 0.02, "a new one"


async def test_a_commit_brings_the_backlog_forward_and_only_a_claim_ends_it() -> None:
    contact, now = Contact(), datetime.fromisoformat(NOW)
    contact.note(claimed(next_s=60))
    contact.note(Committed(now=now, next_wake_at=now))
    await anyio.sleep(0.01)
    contact.note(Committed(now=now, next_wake_at=None))
    contact.note(Committed(now=now, next_wake_at=now + timedelta(seconds=5)))
    assert contact.backlog_s() >= 0.01
    contact.note(claimed(next_s=60))
    assert contact.backlog_s() == 0


async def test_a_commit_that_claims_speaks_of_all_stacks_as_a_claim_does() -> None:
    contact, now = Contact(), datetime.fromisoformat(NOW)
    contact.note(claimed(next_s=0))
    await anyio.sleep(0.01)
    contact.note(Committed(now=now, next_wake_at=now, claimed=claimed(next_s=0)))
    assert contact.backlog_s() >= 0.01, "still due: it waits since then"
    contact.note(Committed(now=now, next_wake_at=now, claimed=claimed(next_s=60)))
    assert contact.backlog_s() == 0


async def test_what_is_not_due_yet_becomes_a_backlog_by_itself() -> None:
    contact = Contact()
    contact.note(claimed(next_s=0.01))
    assert contact.backlog_s() == 0
    await anyio.sleep(0.02)
    assert contact.backlog_s() > 0


async def test_busy_parts_are_sent_again_until_they_have_a_verdict() -> None:
    requests: list[dict[str, Any]] = []

    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        requests.append(request)
        return committed(request, "busy" if len(requests) < 3 else "done")

    async with committer_over(answer, []) as committer:
        verdicts = await committer.commit(Bundle(runs=(run(),), settlement=SETTLED))
    assert [verdict.verdict for verdict in verdicts.runs] == [CommitVerdict.DONE]
    assert [(len(r["runs"]), len(r["settlements"])) for r in requests] == [(1, 1)] * 3


async def test_a_run_that_writes_to_another_stack_lands_before_its_lease_is_given_up() -> None:
    requests: list[tuple[int, int]] = []

    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        requests.append((len(request["runs"]), len(request["settlements"])))
        return committed(request, "busy" if len(requests) == 1 else "done")

    message = {"op": "send_message", "to_stack_id": str(OTHER), "content": "hi", "hop": 0}
    async with committer_over(answer, []) as committer:
        verdicts = await committer.commit(Bundle(runs=(run(changes=(message,)),), settlement=SETTLED))
    assert requests == [(1, 0), (1, 0), (0, 1)]
    assert verdicts.settled is CommitVerdict.DONE


async def test_one_unacceptable_outcome_costs_only_itself() -> None:
    def answer(verb: str, request: dict[str, Any]) -> httpx.Response:
        if any(r["changes"] for r in request["runs"]):
            return error(400, message="bad change", code="SB001")
        return committed(request)

    facts: list[Fact] = []
    results = []
    async with committer_over(answer, facts) as committer:

        async def commit(bundle: Bundle) -> None:
            results.append(await committer.commit(bundle))

        async with anyio.create_task_group() as group:
            group.start_soon(commit, Bundle(runs=(run(),)))
            group.start_soon(commit, Bundle(runs=(run(RUN_2, OTHER, changes=({"op": "x"},)),)))
    verdicts = {verdict.run_id: verdict.verdict for result in results for verdict in result.runs}
    assert verdicts == {RUN: CommitVerdict.DONE, RUN_2: CommitVerdict.FAILED}
    assert not [fact for fact in facts if isinstance(fact, OutcomeDropped)]


async def test_an_outcome_that_cannot_be_stored_at_all_is_reported_and_does_not_block() -> None:
    facts: list[Fact] = []
    async with committer_over(lambda *_: error(400, message="never", code="SB001"), facts) as committer:
        verdicts = await committer.commit(Bundle(runs=(replace(run(), status=RunStatus.FAILED),)))
    assert verdicts.runs[0].verdict is CommitVerdict.FAILED
    assert [fact.run for fact in facts if isinstance(fact, OutcomeDropped)] == [str(RUN)]
