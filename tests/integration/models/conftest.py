"""The chain over both real SDKs and real HTTP, against llmock, which counts the calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from llmock.scenarios import Match, Reply
from llmock.testing import LLMockServer
from pydantic import BaseModel, Field

from orchestrator.config import Models
from orchestrator.facts import Fact
from orchestrator.llm.chain import Chain
from orchestrator.llm.providers import open_providers
from orchestrator.llm.values import Accepted, Call, Deferred, Prompt, Provider, Rejected

from .rows import OK, SHORT_TIMEOUT_S, Row, Wire, behaviours

# What the chain calls a provider -> what llmock calls it. The endpoint is one more OpenAI-compatible server.
PLACES = {"groq": "groq", "openai": "openai", "box": "together"}


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


class Spoiled:
    """An ASGI application around llmock's that spoils the answers of one provider."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.wire: Wire | None = None
        self.prefix = ""

    @property
    def state(self) -> Any:
        return self.app.state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.wire is None or scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        said: list[dict[str, Any]] = []

        async def keep(message: dict[str, Any]) -> None:
            said.append(message)

        await self.app(scope, receive, keep)
        body = self._spoil(b"".join(message.get("body", b"") for message in said))
        length = len(body) + (100 if self.wire is Wire.DROPPED else 0)
        gone = {b"content-length", *((b"retry-after", b"retry-after-ms") if self.wire is Wire.SILENT else ())}
        headers = [pair for pair in said[0]["headers"] if pair[0].lower() not in gone]
        await send({**said[0], "headers": [*headers, (b"content-length", str(length).encode())]})
        # Of a dropped answer, less comes than was announced; the server then closes the connection.
        await send({"type": "http.response.body", "body": body, "more_body": self.wire is Wire.DROPPED})

    def _spoil(self, body: bytes) -> bytes:
        match self.wire:
            case Wire.REFUSED:
                answer = json.loads(body)
                answer["choices"][0]["message"] |= {"content": None, "refusal": "I would rather not."}
                return json.dumps(answer).encode()
            case Wire.SILENT:
                return body
            case _:
                return body[: len(body) // 2]


@dataclass(kw_only=True)
class Bench:
    """A chain on its way to the server, with everything it reports."""

    server: LLMockServer
    spoiled: Spoiled
    chain: Chain
    facts: list[Fact]
    ledger: list[Call] = field(default_factory=list)

    async def ask(self) -> Accepted[str] | Rejected | Deferred:
        def check(reply: BaseModel) -> str:
            assert isinstance(reply, Answer)
            return reply.word

        return await self.chain.complete(PROMPT, check, self.ledger)

    def counted(self, provider: str) -> int:
        """The server's own count of the questions this provider got."""
        records = self.server.state.journal.records(wait=3)
        return sum(
            record.provider == PLACES[provider] and record.path.endswith("/chat/completions") for record in records
        )

    def errors(self) -> list[str]:
        return [call.error or OK for call in self.ledger]

    def do(self, row: Row, provider: str) -> None:
        """Have one provider do what the row says, once."""
        self.spoiled.wire = row.wire
        self.spoiled.prefix = f"/{PLACES[provider]}" if provider != "openai" else "/v1"
        for behaviour in reversed(behaviours(row, PLACES[provider])):
            self.server.state.scenarios.add(behaviour)


@pytest.fixture(scope="module")
def llmock() -> Iterator[LLMockServer]:
    server = LLMockServer()
    server.app = Spoiled(server.app)
    with server:
        yield server


@asynccontextmanager
async def opened(server: LLMockServer, timeout_s: float = 10.0) -> AsyncIterator[Mapping[str, Provider]]:
    """All providers, as the daemon opens them, at the server's addresses."""
    own = {"api_key": "k", "timeout_s": timeout_s}
    settings: dict[str, Any] = {
        "order": tuple(PLACES),
        "groq": own | {"base_url": server.base_url("groq").removesuffix("/openai/v1")},
        "openai": own | {"base_url": server.base_url("openai")},
        "endpoints": {
            "box": {
                "base_url": server.base_url("together"),
                "small": "tiny",
                "large": "tiny",
                "timeout_s": timeout_s,
            }
        },
    }
    async with open_providers(Models.model_validate(settings), lambda *_: {}) as providers:
        yield {provider.name: provider for provider in providers}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(llmock: LLMockServer) -> AsyncIterator[Mapping[str, Provider]]:
    """Opened once: a client's certificates take longer to load than a test takes to run."""
    async with opened(llmock) as providers:
        yield providers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient(llmock: LLMockServer) -> AsyncIterator[Mapping[str, Provider]]:
    async with opened(llmock, SHORT_TIMEOUT_S) as providers:
        yield providers


def bench(server: LLMockServer, *providers: Provider) -> Bench:
    """A fresh chain of these providers; the server has forgotten everything."""
    assert isinstance(server.app, Spoiled)
    server.app.wire = None
    server.state.reset()
    facts: list[Fact] = []
    chain = Chain(providers, deadline_s=20, patience_s=2, observer=facts.append)
    return Bench(server=server, spoiled=server.app, chain=chain, facts=facts)


def answers(server: LLMockServer, text: str = '{"word": "yes"}') -> None:
    """From now on everybody says this, unless something else was asked of them before."""
    server.state.scenarios.add(Reply(text=text, times=None, match=Match(path="*/chat/completions")))
