"""Serving an app for the length of a block."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from minibase.errors import MinibaseError
from minibase.launch import open_api


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def test_it_answers_within_the_block_and_not_after(listener: socket.socket) -> None:
    closed = False

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal closed
        yield
        closed = True

    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient() as client:
        async with open_api(Starlette(routes=[Route("/", _hello)], lifespan=lifespan), listener):
            assert (await client.get(url)).text == "hello"
        assert closed
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_an_app_that_cannot_open_is_an_error(listener: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no room")
        yield

    with pytest.raises(ExceptionGroup) as failure:
        async with open_api(Starlette(lifespan=lifespan), listener):
            pytest.fail("it must not open")
    assert failure.group_contains(MinibaseError, match="The API did not start")
    assert "no room" in caplog.text


async def test_a_service_that_never_closes_does_not_hold_up_the_end(listener: socket.socket) -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with open_api(Starlette(lifespan=lifespan), listener):
            pass
