"""The composition root: one ASGI application out of the services, behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from minibase.config import Config
from minibase.gateway import GUARDED_PREFIXES, Gateway
from minibase.keys import Keyring
from minibase.postgres.endpoint import Endpoint

SERVICES = tuple(name for name in ("rest", "auth", "realtime") if find_spec(f"minibase.{name}.app"))


def build(*, config: Config, keyring: Keyring, endpoint: Endpoint) -> ASGIApp:
    """The whole API as one application. Its lifespan opens the services and closes them in reverse order."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, ASGIApp]]:
        async with AsyncExitStack() as stack:
            opened: dict[str, ASGIApp] = {}
            for service in SERVICES:
                open_service = getattr(import_module(f"minibase.{service}.app"), f"open_{service}")
                opened[service] = await stack.enter_async_context(
                    open_service(endpoint=endpoint, keyring=keyring, config=config)
                )
            yield opened

    routes = [*(Mount(f"/{service}/v1", app=_Service(service)) for service in SERVICES), Route("/health", _health)]
    services = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _unknown_path})
    return Gateway(services, keyring=keyring)


class _Service:
    """The service of this name that the lifespan opened and the server hands to each request as its state."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"][self._name](scope, receive, send)


async def _health(_: Request) -> JSONResponse:
    """Up means: the lifespan has opened every service."""
    return JSONResponse({"name": "minibase", "status": "ok"})


async def _unknown_path(request: Request, _: Exception) -> JSONResponse:
    known = ", ".join(GUARDED_PREFIXES)
    return JSONResponse({"message": f"Nothing is served at {request.url.path}; services are at {known}."}, 404)
