"""The chain over the real SDKs, with a scripted transport in the place of the network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest
from pydantic import BaseModel, Field

from orchestrator.config import Groq, OpenAI
from orchestrator.facts import BreakerClosed, BreakerOpened, CallAttempted, Fact, ProviderAlarm
from orchestrator.llm.chain import Chain
from orchestrator.llm.prices import Prices
from orchestrator.llm.providers import ChatProvider, groq_sdk, openai_sdk
from orchestrator.llm.simulated import SimulatedTransport
from orchestrator.llm.values import Accepted, Call, Deferred, Prompt, Provider, Rejected, UnacceptableError

Step = Callable[[httpx.Request], httpx.Response]


class Answer(BaseModel):
    word: str = Field(max_length=10)


PROMPT = Prompt(
    role="planner",
    system="Be brief.",
    user='Go.\n```json\n{"a": 1}\n```',
    output=Answer,
    temperature=0.5,
    max_output_tokens=100,
    tier="small",
    ask_hash="asked",
)


class Script(httpx.AsyncBaseTransport):
    """Plays one step per request and keeps the requests' bodies."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.bodies: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(await request.aread()))
        response = self.steps.pop(0)(request)
        response.request = request
        return response


def says(text: str | None, finish: str | None = "stop", **message: Any) -> Step:
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return lambda _: httpx.Response(200, json=body)


def fails(status: int, headers: dict[str, str] | None = None, **error: Any) -> Step:
    return lambda _: httpx.Response(status, headers=headers, json={"error": {"message": "no luck", **error}})


def breaks(error: Exception) -> Step:
    def step(_: httpx.Request) -> httpx.Response:
        raise error

    return step


GOOD = says('{"word": "yes"}')


class Rig:
    def __init__(self, groq_script: Script, openai_script: Script, providers: list[Provider]) -> None:
        self.groq = groq_script
        self.openai = openai_script
        self.providers = providers
        self.facts: list[Fact] = []
        self.ledger: list[Call] = []
        self.now = 0.0
        self.chain = Chain(
            providers, deadline_s=60, patience_s=0.05, observer=self.facts.append, clock=lambda: self.now
        )

    async def ask(self, check: Callable[[Any], str] = lambda reply: reply.word) -> Accepted[str] | Rejected | Deferred:
        return await self.chain.complete(PROMPT, check, self.ledger)


@asynccontextmanager
async def rig(groq_steps: list[Step], openai_steps: list[Step]) -> AsyncIterator[Rig]:
    first, second = Script(*groq_steps), Script(*openai_steps)
    async with httpx.AsyncClient(transport=first) as one, httpx.AsyncClient(transport=second) as two:
        yield Rig(
            first,
            second,
            [
                ChatProvider(groq_sdk("k", None, one), name="groq", settings=Groq()),
                ChatProvider(openai_sdk("k", None, two), name="openai", settings=OpenAI()),
            ],
        )


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (GOOD, "answered"),
        (fails(503), "away"),
        (breaks(httpx.ConnectTimeout("slow")), "away"),
        (fails(401), "denied"),
        (fails(400, code="json_validate_failed", failed_generation="{"), "garbled"),
        (fails(400), "bad_request"),
    ],
)
async def test_every_attempt_is_reported_with_one_word_for_its_outcome(step: Step, outcome: str) -> None:
    async with rig([step, GOOD], [GOOD]) as r:
        await r.ask()
    first = next(fact for fact in r.facts if isinstance(fact, CallAttempted))
    assert (first.provider, first.outcome) == ("groq", outcome)
    assert (first.error is None) is (outcome == "answered")


async def test_the_first_provider_answers_and_the_ledger_knows_the_price() -> None:
    async with rig([GOOD], []) as r:
        assert await r.ask() == Accepted(value="yes")
    (call,) = r.ledger
    assert (call.provider, call.tokens_in, call.tokens_out, call.finish_reason) == ("groq", 1000, 100, "stop")
    assert call.cost_usd > 0
    assert call.reply == '{"word": "yes"}'
    (body,) = r.groq.bodies
    schema = body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("planner", True)
    assert schema["schema"]["additionalProperties"] is False
    assert body["model"] == "openai/gpt-oss-20b"


@pytest.mark.parametrize(
    "fault",
    [
        *[fails(status) for status in (408, 409, 429, 498, 500, 502, 503)],
        fails(429, {"retry-after": "90"}),
        breaks(httpx.ConnectError("refused")),
        breaks(httpx.ReadTimeout("slow")),
        breaks(httpx.RemoteProtocolError("cut")),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(200, json={}),
    ],
)
async def test_faults_that_fall_over_to_the_next_provider(fault: Step) -> None:
    async with rig([fault], [GOOD]) as r:
        assert await r.ask() == Accepted(value="yes")
    assert [(call.provider, call.error is None) for call in r.ledger] == [("groq", False), ("openai", True)]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_denied_provider_raises_an_alarm_and_is_passed_over(status: int) -> None:
    async with rig([fails(status)], [GOOD]) as r:
        assert await r.ask() == Accepted(value="yes")
        alarms = [fact for fact in r.facts if isinstance(fact, ProviderAlarm)]
        assert [alarm.provider for alarm in alarms] == ["groq"]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_our_own_bad_request_is_shown_and_never_tried_elsewhere(status: int) -> None:
    async with rig([fails(status)], []) as r:
        result = await r.ask()
        assert isinstance(result, Rejected)
        assert str(status) in result.reason
        assert "no luck" in result.reason


async def test_a_short_retry_after_is_waited_for_on_the_same_provider_once() -> None:
    busy = fails(429, {"retry-after": "0.01"})
    async with rig([busy, GOOD], []) as r:
        assert await r.ask() == Accepted(value="yes")
    async with rig([busy, busy], [GOOD]) as r:
        assert await r.ask() == Accepted(value="yes")
        assert [call.provider for call in r.ledger] == ["groq", "groq", "openai"]


@pytest.mark.parametrize(
    "unfit",
    [
        says("not json"),
        says(""),
        says(None),
        says('{"word": "much too long a word"}'),
        says('{"word": "ye', finish="length"),
        says('{"word": "yes"}', finish=None),
        fails(400, code="json_validate_failed", failed_generation='{"wor'),
    ],
)
async def test_one_repair_turn_tells_the_model_what_was_wrong(unfit: Step) -> None:
    async with rig([unfit, GOOD], []) as r:
        assert await r.ask() == Accepted(value="yes")
        assert len(r.ledger) == 2
        repair = r.groq.bodies[1]["messages"]
        assert [turn["role"] for turn in repair] == ["system", "user", "assistant", "user"]
        assert "cannot be used" in repair[-1]["content"]


async def test_after_the_repair_turn_the_next_provider_is_asked_and_then_it_is_over() -> None:
    bad = says("nonsense")
    async with rig([bad, bad], [bad]) as r:
        result = await r.ask()
        assert isinstance(result, Rejected)
        assert result.reason.startswith("openai: ")
        assert [call.provider for call in r.ledger] == ["groq", "groq", "openai"]


async def test_a_refusal_is_not_argued_with() -> None:
    async with rig([says(None, refusal="I will not")], [GOOD]) as r:
        assert await r.ask() == Accepted(value="yes")
        assert [call.provider for call in r.ledger] == ["groq", "openai"]


async def test_the_callers_check_can_ask_for_a_repair() -> None:
    def check(reply: Answer) -> str:
        if reply.word == "no":
            raise UnacceptableError("say yes")
        return reply.word

    async with rig([says('{"word": "no"}'), GOOD], []) as r:
        assert await r.ask(check) == Accepted(value="yes")
        assert "say yes" in r.groq.bodies[1]["messages"][-1]["content"]


async def test_a_bug_in_the_check_passes_through_but_the_ledger_stays() -> None:
    def check(_: Answer) -> str:
        raise KeyError("bug")

    async with rig([GOOD], []) as r:
        with pytest.raises(KeyError):
            await r.ask(check)
        assert len(r.ledger) == 1


async def test_all_down_defers_with_both_reasons_and_a_time() -> None:
    async with rig([fails(503)], [fails(500)]) as r:
        result = await r.ask()
        assert isinstance(result, Deferred)
        assert "groq 503 no luck" in result.reason
        assert "openai 500 no luck" in result.reason
        assert result.retry_s >= 5


async def test_breakers_rest_a_failing_provider_and_let_one_probe_through() -> None:
    async with rig([fails(503)] * 3 + [GOOD], [GOOD] * 10) as r:
        for _ in range(5):
            await r.ask()
        assert len(r.groq.bodies) == 3, "after three failures in a row groq rests"
        r.now += 6
        await r.ask()
        assert len(r.groq.bodies) == 4


async def test_nobody_is_asked_while_everybody_rests() -> None:
    async with rig([fails(429, {"retry-after": "20"})], [fails(429, {"retry-after": "30"})]) as r:
        await r.ask()
        resting = r.chain.resting(["planner"])
        assert resting is not None
        assert resting.retry_s == 20
        assert isinstance(await r.ask(), Deferred)
        assert len(r.ledger) == 2


async def test_each_model_of_a_provider_has_a_breaker_of_its_own() -> None:
    async with rig([fails(503)] * 3 + [GOOD], [GOOD] * 3) as r:
        for _ in range(3):
            await r.ask()
        large = replace(PROMPT, tier="large")
        assert await r.chain.complete(large, lambda reply: reply.word, r.ledger) == Accepted(value="yes")  # type: ignore[attr-defined]
        assert (r.ledger[-1].provider, r.ledger[-1].model) == ("groq", Groq().large)
        assert r.chain.resting(["planner"]) is None


async def test_breakers_report_when_they_open_and_close() -> None:
    async with rig([fails(503)] * 4 + [GOOD], [GOOD] * 10) as r:
        for wait in (0, 0, 0, 6, 6):
            r.now += wait
            await r.ask()
        assert len(r.groq.bodies) == 4, "the failed probe opened it again, for longer"
        r.now += 5
        await r.ask()
        told = [fact for fact in r.facts if isinstance(fact, BreakerOpened | BreakerClosed)]
        assert told == [
            BreakerOpened(provider="groq", model=Groq().small, failures=3, rest_s=5, error="503 no luck"),
            BreakerOpened(provider="groq", model=Groq().small, failures=4, rest_s=10, error="503 no luck"),
            BreakerClosed(provider="groq", model=Groq().small),
        ]


async def test_after_a_rest_one_asks_and_the_others_wait_shortly_for_what_it_finds() -> None:
    busy = fails(429, {"retry-after": "30"})
    started, answer = anyio.Event(), anyio.Event()
    facts: list[Fact] = []
    asked: list[int] = []

    class Gate(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(len(asked))
            if len(asked) == 2:
                started.set()
                await answer.wait()
            response = (busy if len(asked) == 1 else GOOD)(request)
            response.request = request
            return response

    now = 0.0
    async with httpx.AsyncClient(transport=Gate()) as http:
        provider = ChatProvider(groq_sdk("k", None, http), name="groq", settings=Groq())
        chain = Chain([provider], deadline_s=60, patience_s=0, observer=facts.append, clock=lambda: now)
        await chain.complete(PROMPT, lambda reply: reply, [])
        now = 31.0
        async with anyio.create_task_group() as group:
            group.start_soon(chain.complete, PROMPT, lambda reply: reply, [])
            await started.wait()
            waiting = [await chain.complete(PROMPT, lambda reply: reply, []) for _ in range(3)]
            assert len(asked) == 2, "the others do not storm"
            assert all(isinstance(each, Deferred) and each.retry_s < 7 for each in waiting)
            answer.set()
        assert chain.resting(["planner"]) is None
        assert await chain.complete(PROMPT, lambda reply: "ok", []) == Accepted(value="ok")


async def test_a_cancelled_probe_holds_nobody_back() -> None:
    started = anyio.Event()

    class Busy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if ledger:
                started.set()
                await anyio.sleep_forever()
            response = fails(429, {"retry-after": "30"})(request)
            response.request = request
            return response

    now = 0.0
    ledger: list[Call] = []
    async with httpx.AsyncClient(transport=Busy()) as http:
        provider = ChatProvider(groq_sdk("k", None, http), name="groq", settings=Groq())
        chain = Chain([provider], deadline_s=60, patience_s=0, observer=lambda _: None, clock=lambda: now)
        await chain.complete(PROMPT, lambda reply: reply, ledger)
        now = 31.0
        async with anyio.create_task_group() as group:
            group.start_soon(chain.complete, PROMPT, lambda reply: reply, ledger)
            await started.wait()
            assert chain.resting(["planner"]) is not None
            group.cancel_scope.cancel()
        assert [call.error for call in ledger] == ["429 no luck", "cancelled"]
        assert chain.resting(["planner"]) is None


async def test_an_agents_name_wins_over_its_tier() -> None:
    settings = Groq(roles={"planner": "thinker"})
    script = Script(GOOD, GOOD)
    ledger: list[Call] = []
    async with httpx.AsyncClient(transport=script) as http:
        provider = ChatProvider(groq_sdk("k", None, http), name="groq", settings=settings)
        chain = Chain([provider], deadline_s=60, patience_s=0, observer=lambda _: None)
        for role in ("planner", "builder"):
            await chain.complete(replace(PROMPT, role=role), lambda reply: reply, ledger)
    assert [body["model"] for body in script.bodies] == ["thinker", settings.small]
    assert [call.model for call in ledger] == ["thinker", settings.small]


async def test_cancelling_leaves_a_ledger_line() -> None:
    started = anyio.Event()

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            started.set()
            await anyio.sleep_forever()
            raise AssertionError

    ledger: list[Call] = []
    async with httpx.AsyncClient(transport=Silent()) as http, anyio.create_task_group() as group:
        provider = ChatProvider(groq_sdk("k", None, http), name="groq", settings=Groq())
        chain = Chain([provider], deadline_s=60, patience_s=0, observer=lambda _: None)
        group.start_soon(chain.complete, PROMPT, lambda reply: reply, ledger)
        await started.wait()
        group.cancel_scope.cancel()
    assert [call.error for call in ledger] == ["cancelled"]


async def test_the_simulated_model_answers_through_the_sdk_and_always_alike() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def simulate(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        seen.append((role, context))
        return {"word": seed[:8]}

    async with httpx.AsyncClient(transport=SimulatedTransport(simulate)) as http:
        sdk = openai_sdk("k", "http://s/v1", http)
        provider = ChatProvider(sdk, name="simulated", settings=OpenAI(small="simulated-v1"), simulated=True)
        chain = Chain([provider], deadline_s=60, patience_s=0, observer=lambda _: None)
        ledger: list[Call] = []
        first = await chain.complete(PROMPT, lambda reply: reply.word, ledger)  # type: ignore[attr-defined]
        second = await chain.complete(PROMPT, lambda reply: reply.word, ledger)  # type: ignore[attr-defined]
    assert first == second
    assert seen[0] == ("planner", {"a": 1, "instructions": "Be brief."})
    assert [(call.simulated, call.model, call.cost_usd) for call in ledger] == [(True, "simulated-v1", 0)] * 2
    assert ledger[0].tokens_in > 0


async def test_offers_name_who_could_answer_and_bear_the_dearest_twice() -> None:
    async with rig([fails(503)] * 3, [GOOD] * 3) as r:
        groq_offer, openai_offer = r.chain.offers(role="planner", tier="large", size=7_000, max_output_tokens=1_000)
        assert (groq_offer.provider, groq_offer.model) == ("groq", "openai/gpt-oss-120b")
        assert (openai_offer.provider, openai_offer.model) == ("openai", "gpt-6-luna")
        assert groq_offer.tokens == 2_000 + 250
        models = (("groq", "openai/gpt-oss-120b"), ("openai", "gpt-6-luna"))
        prices = [Prices().most_per_million(*model) for model in models]
        dearest = max(3_501 * prompt + 1_000 * reply for prompt, reply in prices)
        assert groq_offer.usd == openai_offer.usd == 2 * dearest / 1_000_000
        for _ in range(3):
            await r.ask()
        resting = r.chain.offers(role="planner", tier="small", size=7_000, max_output_tokens=1_000)
        assert [offer.provider for offer in resting] == ["openai"], "groq's breaker is open"


async def test_providers_before_the_one_whose_quota_was_reserved_are_left_out() -> None:
    async with rig([], [GOOD]) as r:
        assert isinstance(await r.chain.complete(PROMPT, lambda reply: reply.word, r.ledger, first="openai"), Accepted)
    assert r.groq.bodies == []


@pytest.mark.parametrize(("allowance", "calls"), [("0.00003", 1), ("1", 2)])
async def test_a_second_attempt_is_made_only_where_the_allowance_bears_it(allowance: str, calls: int) -> None:
    async with rig([says("not json")], [GOOD]) as r:
        r.groq.steps.append(GOOD)
        result = await r.chain.complete(PROMPT, lambda reply: reply.word, r.ledger, allowance_usd=Decimal(allowance))
    assert len(r.ledger) == calls
    assert isinstance(result, Accepted) is (calls == 2)


async def test_what_providers_say_of_their_limits_is_handed_on_once_also_from_errors() -> None:
    def limited(step: Step, left: int) -> Step:
        def answer(request: httpx.Request) -> httpx.Response:
            response = step(request)
            response.headers.update(
                {
                    "x-ratelimit-limit-tokens": "8000",
                    "x-ratelimit-remaining-tokens": str(left),
                    "x-ratelimit-reset-tokens": "9s",
                }
            )
            return response

        return answer

    async with rig([limited(GOOD, 7_000), limited(fails(429), 0)], [GOOD]) as r:
        await r.ask()
        [first] = r.chain.take_limits()
        await r.ask()
        [second] = r.chain.take_limits()
        assert r.chain.take_limits() == ()
    assert (first.kind, first.capacity, first.remaining) == ("tokens per minute", 8_000, 7_000)
    assert second.remaining == 0
