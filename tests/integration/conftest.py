"""The whole API over a fresh database, served on a free loopback port inside the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from minibase.app import build
from minibase.config import Config
from minibase.keys import Keyring, Secrets
from minibase.postgres.endpoint import Endpoint

START_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    url: str
    keyring: Keyring
    secrets: Secrets
    endpoint: Endpoint
    config: Config
    http: httpx.AsyncClient
    """For requests no official client would send; closed with the API."""

    async def client(self, key: str | None = None) -> AsyncClient:
        """The official client with the publishable key, or another; it lives no longer than the API."""
        options = AsyncClientOptions(auto_refresh_token=False, httpx_client=self.http)
        return await acreate_client(self.url, key or self.secrets.publishable_key, options)


ServeApi = Callable[..., AbstractAsyncContextManager[Api]]


class _Server(uvicorn.Server):
    """Says when it serves, and leaves the signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.serving.set()


@asynccontextmanager
async def serve_asgi(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    server = _Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=5, ws="websockets-sansio"
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({serving, ready}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        assert server.started, "the API did not start; see the log above"
        yield
    finally:
        ready.cancel()
        server.should_exit = True
        await serving


@pytest.fixture
def serve() -> Callable[[Any, socket.socket], AbstractAsyncContextManager[None]]:
    """Serves any ASGI application on a bound socket for the length of a block."""
    return serve_asgi


@pytest.fixture
def serve_api(endpoint: Endpoint) -> ServeApi:
    """Serve with settings of the test's choice: `async with serve_api(enable_signup=False) as api`."""

    @asynccontextmanager
    async def serve(*, database: Endpoint = endpoint, **settings: Any) -> AsyncIterator[Api]:
        secrets = Secrets.generate()
        keyring = Keyring(secrets)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            config = Config(project_id="tests", api_port=port, schemas=("public",), **settings)
            app = build(config=config, keyring=keyring, endpoint=database)
            url = f"http://127.0.0.1:{port}"
            async with serve_asgi(app, listener), httpx.AsyncClient(base_url=url, timeout=20) as http:
                yield Api(url=url, keyring=keyring, secrets=secrets, endpoint=database, config=config, http=http)

    return serve


@pytest.fixture
async def api(serve_api: ServeApi) -> AsyncIterator[Api]:
    """The API with the settings a new project has."""
    async with serve_api() as running:
        yield running
