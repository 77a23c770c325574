"""Groq and OpenAI as llmock serves them: real HTTP by the official SDKs, faults on demand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llmock.scenarios import Fail, Match
from llmock.testing import LLMockServer

from .conftest import Talker, World

TRACES = "select count(*) from public.agent_traces where stack_id = $1 and action = 'talk'"


@pytest.fixture(scope="module")
def provider() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture
def models(provider: LLMockServer) -> Iterator[dict[str, Any]]:
    """The configuration of somebody with both keys."""
    provider.state.reset()
    yield {
        "patience_s": 0,  # this server sends Retry-After with every fault
        # The Groq SDK adds /openai/v1 to its base address by itself.
        "groq": {"api_key": "k", "base_url": provider.base_url("groq").removesuffix("/openai/v1")},
        "openai": {"api_key": "k", "base_url": provider.base_url("openai")},
    }
    provider.state.reset()


def down(provider: LLMockServer, *names: str) -> None:
    for name in names:
        provider.state.scenarios.add(Fail(503, times=None, match=Match(provider=name)))


async def test_groq_answers_first(world: World, models: dict[str, Any]) -> None:
    stack = await world.stack()
    async with world.daemon([Talker()], models=models):
        await world.until(f"select ({TRACES}) = 1", stack)
    row = await world.admin.fetchrow(
        "select provider, model, simulated, tokens_in > 0 as counted from public.llm_calls"
    )
    assert tuple(row) == ("groq", "openai/gpt-oss-20b", False, True)


async def test_groq_503_falls_over_to_openai(world: World, models: dict[str, Any], provider: LLMockServer) -> None:
    down(provider, "groq")
    stack = await world.stack()
    async with world.daemon([Talker()], models=models):
        await world.until(f"select ({TRACES}) = 1", stack)
    calls = await world.admin.fetch("select provider, error from public.llm_calls order by attempt")
    assert [call["provider"] for call in calls] == ["groq", "openai"]
    assert calls[0]["error"].startswith("503")
    assert calls[1]["error"] is None


async def test_both_down_waits_visibly_and_loses_nothing(
    world: World, models: dict[str, Any], provider: LLMockServer
) -> None:
    down(provider, "groq", "openai")
    stack = await world.stack()
    async with world.daemon([Talker()], models=models):
        reason = await world.until(
            "select wait_reason from public.stack_status where stack_id = $1 and wait_reason like 'waiting for model%'",
            stack,
        )
        assert "groq 503" in reason
        assert "openai 503" in reason
        assert "retry in" in reason
        assert await world.admin.fetchval(
            "select wait_until > now() from public.stack_status where stack_id = $1", stack
        )
        assert await world.admin.fetchval("select count(*) from public.agent_executions where status = 'deferred'") == 1
        provider.state.reset()
        await world.until(f"select ({TRACES}) = 1", stack)
