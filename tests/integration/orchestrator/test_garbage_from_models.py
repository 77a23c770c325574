"""A model's server may answer anything: the run ends in words, what was spent is kept, and the stack goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.facts import CycleBroke, OutcomeDropped

from .conftest import Talker, World

GOOD = '{"word": "hoot"}'


def completion(content: Any, *, finish: Any = "stop", usage: Any = None) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@dataclass(kw_only=True)
class Scripted:
    """A chat-completions server that answers every request with `body`."""

    url: str = ""
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def answer(self, _: Request) -> Response:
        self.asked += 1
        return Response(self.body, self.status, {"content-type": "application/json", **self.headers})

    def settings(self) -> dict[str, Any]:
        return {"order": ["openai"], "openai": {"api_key": "k", "base_url": self.url}}


@pytest.fixture
async def model(serve: Any) -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = Starlette(routes=[Route("/v1/chat/completions", scripted.answer, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serve(app, listener):
            scripted.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            yield scripted


HUGE = {"prompt_tokens": 10**12, "completion_tokens": -3, "total_tokens": 0}
ODD = {"prompt_tokens": "many", "completion_tokens": 1.5, "total_tokens": None}
GARBAGE = {
    "half a surrogate pair, bare": completion("\ud83d"),
    "a NUL, spelled out": completion('{"word": "\\u0000"}'),
    "a NUL after the end": completion(GOOD + "\u0000"),
    "a list for a text": completion(["hoot"]),
    "a number for a text": completion(7),
    "an object for a reason": completion(GOOD, finish={"a": 1}),
    "a NUL in the reason": completion(GOOD, finish="st\u0000p"),
    "a choice without a message": {**completion(GOOD), "choices": [{"index": 0, "finish_reason": "stop"}]},
    "a choice that is a word": {**completion(GOOD), "choices": ["hoot"]},
    "choices that are none": {**completion(GOOD), "choices": None},
    "null": None,
    "a list": [],
    "deep nesting": completion("[" * 100_000),
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_ends_the_run_in_words_and_lets_the_stack_go(world: World, model: Scripted, body: Any) -> None:
    model.body = json.dumps(body).encode()
    stack = await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        await world.until("select count(*) > 0 from public.agent_executions where status in ('failed', 'deferred')")
        await world.until("select lease_owner is null from public.stack_schedule where stack_id = $1", stack)
        await world.until("select wait_reason <> '' from public.stack_status where stack_id = $1", stack)
        asked = model.asked
        assert await world.admin.fetchval("select count(*) from public.llm_calls") == asked
    assert asked in {1, 2}, "one answer and at most one repair"
    assert not [fact for fact in world.facts if isinstance(fact, CycleBroke | OutcomeDropped)]


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_a_web_page_for_an_answer_is_said_to_be_no_json(world: World, model: Scripted, kind: str) -> None:
    model.body, model.headers = b"<html>Busy, come back later.</html>", {"content-type": kind}
    stack = await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        reason = await world.until(
            "select wait_reason from public.stack_status where stack_id = $1 and wait_reason like 'waiting%'", stack
        )
    assert "not JSON" in reason


@pytest.mark.parametrize("word", ["\ud83d", "\u0000"], ids=["half a surrogate pair", "a NUL"])
async def test_a_character_that_is_none_is_replaced(world: World, model: Scripted, word: str) -> None:
    model.body = json.dumps(completion(f'{{"word": "{word}"}}')).encode()
    stack = await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        await world.until("select count(*) = 1 from public.agent_traces where stack_id = $1 and action = 'talk'", stack)
    assert await world.admin.fetchval("select thought from public.agent_traces") == "\ufffd"


@pytest.mark.parametrize("usage", [HUGE, ODD], ids=["huge and negative", "odd types"])
async def test_a_good_answer_with_senseless_counts_lands(world: World, model: Scripted, usage: Any) -> None:
    model.body = json.dumps(completion(GOOD, usage=usage)).encode()
    stack = await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        await world.until("select count(*) = 1 from public.agent_traces where stack_id = $1 and action = 'talk'", stack)
    row = await world.admin.fetchrow("select count(*), min(tokens_in) >= 0, min(tokens_out) >= 0 from public.llm_calls")
    assert tuple(row) == (1, True, True)


async def test_what_a_provider_says_of_its_customer_is_not_shown(world: World, model: Scripted) -> None:
    secret = "org_01hx8sd7f6gsd9f7sd"
    message = f"Incorrect API key provided: sk-proj-****abcd in organization `{secret}`"
    model.status, model.body = 401, json.dumps({"error": {"message": message}}).encode()
    await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        reason = await world.until("select wait_reason from public.stack_status where wait_reason like 'waiting%'")
    assert "Incorrect API key" in reason
    assert secret not in reason
    assert "abcd" not in reason


async def test_a_stack_plays_on_when_the_model_comes_to_its_senses(world: World, model: Scripted) -> None:
    model.body = json.dumps(GARBAGE["a NUL, spelled out"]).encode()
    stack = await world.stack()
    async with world.daemon([Talker()], models=model.settings()):
        await world.until("select count(*) > 0 from public.agent_executions where status = 'failed'")
        model.body = json.dumps(completion(GOOD)).encode()
        await world.until(
            "select count(*) = 1 from public.agent_traces where stack_id = $1 and action = 'talk'", stack, within_s=15
        )
