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
    REFUSED = "refused"  # 429: over the limit


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One request; times are those of time.monotonic."""

    role: str
    stack: str
    arrived: float = field(default_factory=time.monotonic)
    end: End | None = None
    ended: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0


class Bucket:
    """So many a minute, refilled evenly, as providers count; what was not foreseen is taken below zero."""

    def __init__(self, counted: str, per_minute: float, level: float) -> None:
        self.counted, self.per_minute, self._level = counted, per_minute, level
        self._filled = time.monotonic()

    @property
    def level(self) -> float:
        now = time.monotonic()
        self._level = min(self.per_minute, self._level + (now - self._filled) * self.per_minute / 60)
        self._filled = now
        return self._level

    def wait_s(self, amount: float) -> float:
        return max(0.0, amount - self.level) * 60 / self.per_minute

    def take(self, amount: float) -> None:
        self._level = self.level - amount

    def headers(self) -> list[tuple[bytes, bytes]]:
        left = max(0, int(self.level))
        reset = (self.per_minute - self.level) * 60 / self.per_minute
        values = {"limit": f"{self.per_minute:g}", "remaining": str(left), "reset": f"{reset:.3f}s"}
        return [(f"x-ratelimit-{name}-{self.counted}".encode(), value.encode()) for name, value in values.items()]


class Provider:
    """`latency` in seconds; calls that `holds` chooses stay unanswered until `release`; `rewrite` changes replies.

    `limits` are its buckets; `outage_s`, while it is set, is the Retry-After of the 503 that everybody gets. `longest`
    makes every reply count as long as it was allowed to be.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.latency = (0.05, 0.15)
        self.rewrite: Callable[[Call, dict[str, Any]], dict[str, Any]] = lambda call, reply: reply
        self.limits: list[Bucket] = []
        self.outage_s: int | None = None
        self.longest = False
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

    def limit(self, *, requests: float, tokens: float, filled: float = 1.0) -> None:
        """Answer 429 beyond so many a minute; the buckets are `filled` to this part now."""
        self.limits = [Bucket("requests", requests, requests * filled), Bucket("tokens", tokens, tokens * filled)]

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
        if scope["method"] == "GET":  # its list of models, which a daemon looks at when it starts
            await respond(send, 200, [(b"content-type", b"application/json")], b'{"data": [{"id": "gpt-6-luna"}]}')
            return
        body = await read_body(receive)
        if body is None:
            self.calls.append(Call(role="", stack="", end=End.CLOSED, ended=time.monotonic()))
            return
        request = json.loads(body)
        context = json.loads(JSON_BLOCK.findall(request["messages"][-1]["content"])[-1])
        call = Call(role=request["response_format"]["json_schema"]["name"], stack=context["stack"]["name"])
        self.calls.append(call)
        if refusal := self._refuses(len(body) // 4):
            status, wait_s = refusal
            call.end, call.ended = End.REFUSED, time.monotonic()
            headers = [(b"content-type", b"application/json"), (b"retry-after", f"{wait_s:.3f}".encode())]
            await respond(send, status, [*headers, *self._headers()], b'{"error": {"message": "slow down"}}')
            return

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
            for bucket in self.limits[1:]:
                bucket.take(call.tokens_in + call.tokens_out - len(body) // 4)
            call.end, call.ended = End.ANSWERED, time.monotonic()
            await respond(send, 200, [(b"content-type", b"application/json"), *self._headers()], answer)
            group.cancel_scope.cancel()

    def _refuses(self, prompt_tokens: int) -> tuple[int, float] | None:
        """Status and Retry-After, or None for a call that is let in and counted."""
        if self.outage_s is not None:
            return 503, self.outage_s
        asked = list(zip(self.limits, (1, prompt_tokens), strict=False))
        wait = max((bucket.wait_s(amount) for bucket, amount in asked), default=0.0)
        if wait > 0:
            return 429, wait
        for bucket, amount in asked:
            bucket.take(amount)
        return None

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [header for bucket in self.limits for header in bucket.headers()]

    async def _answer(self, call: Call, body: bytes) -> bytes:
        request = httpx.Request("POST", self.url, content=body)
        response = await SimulatedTransport(simulate).handle_async_request(request)
        answer = response.json()
        message = answer["choices"][0]["message"]
        message["content"] = json.dumps(self.rewrite(call, json.loads(message["content"])))
        usage = answer["usage"]
        if self.longest:
            usage["completion_tokens"] = json.loads(body)["max_completion_tokens"]
        call.tokens_in, call.tokens_out = usage["prompt_tokens"], usage["completion_tokens"]
        return json.dumps(answer).encode()
