"""The wire between one daemon and Supabase: passes everything on, unless a test blocks requests or cuts the socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
import httpx
from anyio.from_thread import BlockingPortal
from faults.serving import read_body, respond, serving, until_gone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

DROPPED = frozenset({b"host", b"connection", b"accept-encoding", b"content-length", b"transfer-encoding", b"date"})


class Side(StrEnum):
    """Where on its way a request is blocked."""

    BEFORE = "before"  # Supabase has not seen it
    AFTER = "after"  # Supabase has done it, the daemon does not know


@dataclass(slots=True, kw_only=True, eq=False)
class Block:
    """A fault of the wire: the requests it fits stop here until it is lifted, or are answered with `status`.

    A request whose client is gone is forgotten, but for `delivers`: those reach Supabase all the same, late.
    """

    side: Side
    verb: str | None
    when: Callable[[Any, Any], bool]
    status: int | None
    delivers: bool
    reached: list[dict[str, Any]] = field(default_factory=list)
    lifted: anyio.Event = field(default_factory=anyio.Event)


class Wire:
    """One daemon's way to Supabase; `url` is what the daemon is told."""

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.forwarded: list[tuple[str, dict[str, Any]]] = []  # (verb, request) as Supabase got them
        self._upstream = upstream
        self._blocks: list[Block] = []
        self._sockets: set[anyio.CancelScope] = set()
        self._refuses = self._silent = False
        self._portal: BlockingPortal | None = None
        self._http: httpx.AsyncClient | None = None

    @contextmanager
    def serve(self) -> Iterator[Wire]:
        with serving(self._app, at_end=self._close) as (self.url, self._portal):
            try:
                yield self
            finally:
                self.mend()

    async def _close(self) -> None:
        # Not before: a request that is connecting meanwhile would leave its connection behind.
        if self._http is not None:
            await self._http.aclose()

    def block(
        self,
        side: Side,
        verb: str | None = None,
        *,
        when: Callable[[Any, Any], bool] = lambda request, answer: True,
        status: int | None = None,
        delivers: bool = False,
    ) -> Block:
        """Stop requests of `verb` (of any) from now on; `when` sees the request and, after it, the answer."""
        block = Block(side=side, verb=verb, when=when, status=status, delivers=delivers)
        self._blocks.append(block)
        return block

    def lift(self, block: Block) -> None:
        assert self._portal is not None
        self._blocks.remove(block)
        self._portal.call(_set, block.lifted)

    def cut(self, *, silently: bool = False) -> None:
        """End all websockets and refuse new ones; or, silently, let them stand and lose every message."""
        assert self._portal is not None
        self._refuses, self._silent = not silently, silently
        if not silently:
            self._portal.call(self._end_sockets)

    def mend(self) -> None:
        """Nothing is blocked or cut any more."""
        self._refuses = self._silent = False
        for block in list(self._blocks):
            self.lift(block)

    async def _end_sockets(self) -> None:
        for scope in list(self._sockets):
            scope.cancel()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        if body is None:
            return
        group = anyio.create_task_group()
        delivers = anyio.CancelScope()  # shielded while a request is on its way whoever sent it

        async def forget_with_client() -> None:
            await until_gone(receive)
            group.cancel_scope.cancel()

        async with group:
            group.start_soon(forget_with_client)
            with delivers:
                await self._pass_on(scope, body, send, delivers)
            group.cancel_scope.cancel()

    async def _pass_on(self, scope: Any, body: bytes, send: Any, delivers: anyio.CancelScope) -> None:
        verb, asked = scope["path"].rsplit("/", 1)[-1], _json(body).get("request", {})
        if await self._blocked(Side.BEFORE, verb, asked, None, send, delivers):
            return
        self.forwarded.append((verb, asked))
        try:
            response = await self._forward(scope, body)
        except httpx.HTTPError as error:
            await respond(send, 502, [(b"content-type", b"text/plain")], repr(error).encode())
            return
        if await self._blocked(Side.AFTER, verb, asked, _json(response.content), send, delivers):
            return
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in DROPPED]
        length = (b"content-length", str(len(response.content)).encode())
        await respond(send, response.status_code, [*headers, length], response.content)

    async def _blocked(
        self, side: Side, verb: str, asked: Any, answer: Any, send: Any, delivers: anyio.CancelScope
    ) -> bool:
        """Wait in the blocks that fit; True where one of them has answered already."""
        for block in list(self._blocks):
            if block.side is side and block.verb in {None, verb} and block.when(asked, answer):
                block.reached.append(asked)
                if block.status is not None:
                    await respond(send, block.status, [(b"content-type", b"text/plain")], b"a fault of the wire")
                    return True
                delivers.shield = block.delivers
                await block.lifted.wait()
        return False

    async def _forward(self, scope: Any, body: bytes) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self._upstream, timeout=60)
        headers = [(name, value) for name, value in scope["headers"] if name not in DROPPED]
        target = httpx.URL(self._upstream).copy_with(
            raw_path=scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        )
        return await self._http.request(
            scope["method"], target, headers=[*headers, (b"accept-encoding", b"identity")], content=body
        )

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if self._refuses:
            await send({"type": "websocket.close", "code": 1011})
            return
        target = f"{self._upstream.replace('http', 'ws', 1)}{scope['path']}?{scope['query_string'].decode()}"
        try:
            async with connect(target, max_size=None) as upstream:
                await send({"type": "websocket.accept"})
                await self._pump(upstream, receive, send)
                await send({"type": "websocket.close", "code": 1011})
        except (OSError, WebSocketException, RuntimeError):
            return  # one of the ends is gone, and with it this socket

    async def _pump(self, upstream: ClientConnection, receive: Any, send: Any) -> None:
        """Both directions until one of them ends or the wire is cut."""

        async def up() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                if not self._silent:
                    await upstream.send(message.get("text") or message["bytes"])
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            self._sockets.add(group.cancel_scope)
            group.start_soon(up)
            async for message in upstream:
                if not self._silent:
                    await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})
            group.cancel_scope.cancel()
        self._sockets.discard(group.cancel_scope)


async def _set(event: anyio.Event) -> None:
    event.set()


def _json(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
