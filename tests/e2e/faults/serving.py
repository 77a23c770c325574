"""An ASGI app on a port of its own, served by a loop in another thread while the test looks on."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal


async def nothing() -> None:
    pass


@contextmanager
def serving(app: Any, at_end: Callable[[], Awaitable[None]] = nothing) -> Iterator[tuple[str, BlockingPortal]]:
    """Serve `app`; gives its address and the way into its loop. `at_end` runs there when no request is left."""
    with socket.socket() as listener, start_blocking_portal() as portal:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="websockets-sansio",
            timeout_keep_alive=60,  # closing is the clients' part: a close that meets a request is a fault of its own
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        task = portal.start_task_soon(server.serve, [listener])
        portal.call(_until_started, server)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", portal
        finally:
            server.should_exit = True
            task.result(10)
            portal.call(at_end)


async def _until_started(server: uvicorn.Server) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody else
        await anyio.sleep(0.005)


async def read_body(receive: Any) -> bytes | None:
    """The whole body of an ASGI request; None if its client is gone before it has sent it."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def until_gone(receive: Any) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
