"""The simulated model: a transport under the real SDK that answers in wire format without a network.

It reads what a provider would read (the request's JSON), takes the role from the schema's name, the instructions from
the system turns and the context from the last fenced JSON block, and lets the agents' own ``simulate`` invent a fitting
reply. Deterministic: the same request gives the same reply.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx

MODEL = "simulated-v1"
JSON_BLOCK = re.compile(r"^```json[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)

Simulate = Callable[[str, dict[str, Any], str], Mapping[str, Any]]


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Answers chat-completion requests after a latency drawn uniformly from [low, high] seconds."""

    def __init__(self, simulate: Simulate, *, low: float = 0.0, high: float = 0.0) -> None:
        self._low = low
        self._high = high
        self._simulate = simulate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        seed = hashlib.blake2b(body, digest_size=8).hexdigest()
        latency = random.Random(seed).uniform(self._low, self._high)
        if latency > 0:
            await anyio.sleep(latency)
        try:
            answer = self._answer(json.loads(body), seed, len(body))
        except (KeyError, IndexError, ValueError) as error:
            message = f"the simulated model cannot read this request: {error!r}"
            return httpx.Response(400, json={"error": {"message": message, "code": "bad_request"}}, request=request)
        return httpx.Response(200, json=answer, request=request)

    def _answer(self, body: Mapping[str, Any], seed: str, size: int) -> dict[str, Any]:
        role = body["response_format"]["json_schema"]["name"]
        question = next(turn["content"] for turn in reversed(body["messages"]) if JSON_BLOCK.search(turn["content"]))
        told = "\n\n".join(turn["content"] for turn in body["messages"] if turn["role"] == "system")
        context = {**json.loads(JSON_BLOCK.findall(question)[-1]), "instructions": told}
        reply = json.dumps(self._simulate(role, context, seed), ensure_ascii=False)
        prompt_tokens, reply_tokens = _estimate(size), _estimate(len(reply.encode()))
        return {
            "id": f"simulated-{seed}",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}},
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": reply_tokens,
                "total_tokens": prompt_tokens + reply_tokens,
            },
        }


def _estimate(size: int) -> int:
    """Tokens in so many bytes, roughly: nobody counts here and nobody pays."""
    return math.ceil(size / 3.5)
