"""Realtime out of reach: a way to the API that lets everything through but its websocket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream

HEAD_LIMIT = 65_536
REFUSED_PATH = b" /realtime/"
LOST = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@asynccontextmanager
async def cut_realtime(url: str) -> AsyncIterator[str]:
    """Another address for the API at ``url`` (http only) that hangs up on whoever asks for realtime.

    Raises ValueError for https, where a request's path cannot be seen on its way.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"{url} is not a plain http address")
    host, port = parts.hostname, parts.port or 80

    async def serve(client: SocketStream) -> None:
        async with client:
            with suppress(*LOST):
                await _pass_on(client, host, port)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def _pass_on(client: SocketStream, host: str, port: int) -> None:
    head = b""
    while b"\r\n" not in head and len(head) < HEAD_LIMIT:
        head += await client.receive()
    if REFUSED_PATH in head.partition(b"\r\n")[0]:
        return
    async with await anyio.connect_tcp(host, port) as server, anyio.create_task_group() as group:
        for stream in (client, server):
            stream.extra(SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await server.send(head)
        group.start_soon(_pump, client, server, group.cancel_scope)
        group.start_soon(_pump, server, client, group.cancel_scope)


async def _pump(source: ByteStream, sink: ByteStream, scope: anyio.CancelScope) -> None:
    with suppress(*LOST):
        async for data in source:
            await sink.send(data)
    scope.cancel()
