"""A server that ends idle connections after five seconds: no question is lost to a close that crosses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from pydantic import BaseModel

from orchestrator.config import Models
from orchestrator.llm.chain import Chain
from orchestrator.llm.providers import open_providers
from orchestrator.llm.values import Accepted, Call

from .conftest import PROMPT

ALMOST_IDLE_TOO_LONG_S = 4.5  # what is written from here on meets the close that is under way


class Closing:
    """An OpenAI-compatible server that closes a connection under the question that comes too late for it."""

    def __init__(self) -> None:
        self.connections: list[asyncio.Event] = []  # each set when it has ended
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        async with await asyncio.start_server(self._talk, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            yield
            for ended in self.connections:
                await ended.wait()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.Event()
        self.connections.append(ended)
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            ended.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while (head := await _until_blank(reader)) and loop.time() - answered <= ALMOST_IDLE_TOO_LONG_S:
            await reader.readexactly(int(httpx.Headers(_pairs(head))["content-length"]))
            body = _completion()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
            answered = loop.time()


async def _until_blank(reader: asyncio.StreamReader) -> bytes:
    """The head of the next request; empty where the client has closed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _pairs(head: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in head.splitlines()[1:-1])]


def _completion() -> bytes:
    message = {"role": "assistant", "content": '{"word": "yes"}'}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


async def test_a_connection_that_is_about_to_be_closed_is_not_used() -> None:
    server = Closing()
    ledger: list[Call] = []

    def word(reply: BaseModel) -> str:
        return reply.model_dump()["word"]  # type: ignore[no-any-return]

    async with server.serve():
        settings = {"order": ("box",), "endpoints": {"box": {"base_url": server.url, "small": "tiny", "large": "tiny"}}}
        async with open_providers(Models.model_validate(settings), lambda *_: {}) as providers:
            chain = Chain(providers, deadline_s=20, patience_s=2, observer=lambda fact: None)
            for pause_s in (0.0, 0.1, ALMOST_IDLE_TOO_LONG_S + 0.1):
                await asyncio.sleep(pause_s)
                assert await chain.complete(PROMPT, word, ledger) == Accepted(value="yes")
    assert [call.error for call in ledger] == [None, None, None]
    assert len(server.connections) == 2, "the one that is fresh is used again"
