"""A model provider over real HTTP that counts: every request it got, from whom, how it ended, and when.

It answers chat completions as the simulated model would, after a latency, or when the test lets go of what it holds.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
import httpx
from anyio.from_thread import BlockingPortal
from faults.serving import read_body, respond, serving, until_gone

from agents.simulated import simulate
from orchestrator.llm.simulated import JSON_BLOCK, SimulatedTransport


class End(StrEnum):
    ANSWERED = "answered"
    CLOSED = "closed"  # by the daemon: it gave up, or died


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One request; times are those of time.monotonic."""

    role: str
    stack: str
    arrived: float = field(default_factory=time.monotonic)
    end: End | None = None
    ended: float | None = None


class Provider:
    """`latency` in seconds; calls that `holds` chooses stay unanswered until `release`; `rewrite` changes replies."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.latency = (0.05, 0.15)
        self.rewrite: Callable[[Call, dict[str, Any]], dict[str, Any]] = lambda call, reply: reply
        self.url = ""
        self._holds: Callable[[Call], bool] = lambda call: False
        self._released = anyio.Event()
        self._portal: BlockingPortal | None = None

    @contextmanager
    def serve(self) -> Iterator[Provider]:
        with serving(self._app) as (address, self._portal):
            self.url = f"{address}/v1"
            try:
                yield self
            finally:
                self.release()

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a daemon that asks this provider."""
        return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": self.url}

    @property
    def count(self) -> int:
        return len(self.calls)

    @property
    def open(self) -> list[Call]:
        return [call for call in list(self.calls) if call.end is None]

    def ended(self, end: End) -> list[Call]:
        return [call for call in list(self.calls) if call.end is end]

    def hold(self, *roles: str) -> None:
        """Answer none of these roles (of nobody, where none is named) before `release`."""
        self._holds = lambda call: not roles or call.role in roles

    def release_some(self, chosen: Callable[[Call], bool], most: int) -> None:
        """Answer so many of the chosen calls that are held; the others stay."""
        assert self._portal is not None
        freed, holds = [call for call in self.open if chosen(call)][:most], self._holds
        self._holds = lambda call: call not in freed and holds(call)
        self._portal.call(self._let_go)

    def release(self) -> None:
        """Answer what is held, and hold nothing more."""
        assert self._portal is not None
        self._holds = lambda call: False
        self._portal.call(self._let_go)

    async def _let_go(self) -> None:
        released, self._released = self._released, anyio.Event()
        released.set()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        if body is None:
            self.calls.append(Call(role="", stack="", end=End.CLOSED, ended=time.monotonic()))
            return
        request = json.loads(body)
        context = json.loads(JSON_BLOCK.findall(request["messages"][-1]["content"])[-1])
        call = Call(role=request["response_format"]["json_schema"]["name"], stack=context["stack"]["name"])
        self.calls.append(call)

        async def close_with_client() -> None:
            await until_gone(receive)
            call.end, call.ended = call.end or End.CLOSED, call.ended or time.monotonic()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(close_with_client)
            await anyio.sleep(random.uniform(*self.latency))
            while self._holds(call):
                await self._released.wait()
            answer = await self._answer(call, body)
            call.end, call.ended = End.ANSWERED, time.monotonic()
            await respond(send, 200, [(b"content-type", b"application/json")], answer)
            group.cancel_scope.cancel()

    async def _answer(self, call: Call, body: bytes) -> bytes:
        request = httpx.Request("POST", self.url, content=body)
        response = await SimulatedTransport(simulate).handle_async_request(request)
        answer = response.json()
        message = answer["choices"][0]["message"]
        message["content"] = json.dumps(self.rewrite(call, json.loads(message["content"])))
        return json.dumps(answer).encode()
