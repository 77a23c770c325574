"""`stackbeat doctor` on models: the key and the configured models, against a fake provider over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from llmock.scenarios import Fail
from llmock.testing import LLMockServer

from agents.simulated import simulate
from orchestrator.config import Config
from orchestrator.doctor.examine import examine_models
from orchestrator.doctor.findings import Finding, Level
from orchestrator.llm.catalogue import Listed
from orchestrator.llm.providers import open_providers

KEY = "gsk_this-is-the-key"


class Doorkeeper:
    """An ASGI application around llmock's that keeps what it was shown at the door."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.shown: list[str | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            shown = dict(scope["headers"]).get(b"authorization")
            self.shown.append(None if shown is None else shown.decode())
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    running = LLMockServer()
    running.app = Doorkeeper(running.app)
    with running:
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


def box(server: LLMockServer, **settings: Any) -> dict[str, Any]:
    """An endpoint of one's own, which is asked for a model that llmock lists."""
    endpoint = {"base_url": server.base_url("together"), "small": "openai/gpt-oss-20b", "large": "openai/gpt-oss-20b"}
    return {"order": ["my-box"], "endpoints": {"my-box": endpoint | settings}}


@pytest.mark.parametrize("key", [None, "", "  ", KEY])
async def test_an_endpoint_is_shown_what_the_daemon_will_show_it(provider: LLMockServer, key: str | None) -> None:
    assert isinstance(provider.app, Doorkeeper)
    settings = box(provider, api_key=key)
    provider.app.shown.clear()
    await ask(**settings)
    async with open_providers(config(**settings).models, simulate) as (opened,):
        assert isinstance(opened, Listed)
        await opened.list_models()
    doctors, daemons = provider.app.shown
    assert doctors == daemons == f"Bearer {KEY if key == KEY else 'none'}"


async def test_an_endpoint_without_a_key_is_not_said_to_have_one(provider: LLMockServer) -> None:
    (finding,) = await ask(**box(provider, small="nope", large="nope"))
    assert finding.said.startswith("no key is needed, but the provider does not list nope")
    assert "[models.endpoints.my-box] small and large" in finding.todo


async def test_an_endpoint_that_wants_a_key_is_told_its_variable(provider: LLMockServer) -> None:
    provider.state.scenarios.add(Fail(401))
    (finding,) = await ask(**box(provider))
    assert_told(finding, Level.FAIL, "wants a key (HTTP 401)", "set STACKBEAT_MY_BOX_API_KEY to a valid key")
    provider.state.scenarios.add(Fail(403))
    (finding,) = await ask(**box(provider, api_key=KEY))
    assert_told(finding, Level.FAIL, "does not accept the key", "set STACKBEAT_MY_BOX_API_KEY to a valid key")
