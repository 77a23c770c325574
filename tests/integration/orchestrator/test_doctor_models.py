"""`stackbeat doctor` on models: the key and the configured models, against a fake provider over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from llmock.scenarios import Fail
from llmock.testing import LLMockServer

from orchestrator.config import Config
from orchestrator.doctor.examine import examine_models
from orchestrator.doctor.findings import Finding, Level

KEY = "gsk_this-is-the-key"


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        yield running


@pytest.fixture
def provider(server: LLMockServer) -> Iterator[LLMockServer]:
    server.state.reset()
    yield server
    server.state.reset()


def config(**models: Any) -> Config:
    return Config.build({"supabase_url": "http://h", "service_key": "sb_secret_abc", "models": models})


def groq(server: LLMockServer, **settings: Any) -> dict[str, Any]:
    # The Groq SDK adds /openai/v1 to its base address by itself.
    return {"api_key": KEY, "base_url": server.base_url("groq").removesuffix("/openai/v1"), **settings}


async def ask(**models: Any) -> list[Finding]:
    findings = await examine_models(config(**models), limit_s=1)
    assert KEY not in str(findings)
    return findings


def assert_told(finding: Finding, level: Level, said: str, todo: str = "") -> None:
    assert finding.level is level, finding
    assert said in finding.said
    assert todo in finding.todo


async def test_no_key_is_fine_and_called_simulated() -> None:
    (finding,) = await ask()
    assert_told(finding, Level.OK, "replies are simulated and cost nothing; set GROQ_API_KEY or OPENAI_API_KEY")


async def test_a_key_and_models_that_are_there(provider: LLMockServer) -> None:
    openai = {"api_key": KEY, "base_url": provider.base_url("openai"), "small": "gpt-4o-mini", "large": "gpt-4o"}
    first, second = await ask(groq=groq(provider), openai=openai)
    assert_told(first, Level.OK, "the key is accepted, and openai/gpt-oss-20b and openai/gpt-oss-120b are there")
    assert_told(second, Level.OK, "gpt-4o-mini and gpt-4o are there")


async def test_a_model_that_is_gone_is_named_with_some_that_are_there(provider: LLMockServer) -> None:
    (finding,) = await ask(groq=groq(provider, large="llama-2"))
    assert_told(
        finding, Level.WARN, "the provider does not list llama-2", "[models.groq] small and large); there are: "
    )
    assert "openai/gpt-oss" in finding.todo or "llama" in finding.todo


@pytest.mark.parametrize("status", [401, 403])
async def test_a_bad_key_is_told(provider: LLMockServer, status: int) -> None:
    provider.state.scenarios.add(Fail(status, message=f"Incorrect API key provided: {KEY}"))
    (finding,) = await ask(groq=groq(provider))
    assert_told(finding, Level.FAIL, f"does not accept the key (HTTP {status})", "set GROQ_API_KEY to a valid key")


async def test_an_outage_is_a_warning(provider: LLMockServer) -> None:
    provider.state.scenarios.add(Fail(503))
    (finding,) = await ask(groq=groq(provider))
    assert_told(finding, Level.WARN, "answers with HTTP 503 to the list of its models", "status page")


async def test_a_provider_that_is_not_there_or_never_answers_is_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}"
        first, second = await ask(
            groq={"api_key": KEY, "base_url": "http://127.0.0.1:9"}, openai={"api_key": KEY, "base_url": hung}
        )
    assert_told(first, Level.WARN, "http://127.0.0.1:9 cannot be reached", "check the network and the base_url")
    assert_told(second, Level.WARN, "did not answer in time", "check the network and the base_url")
