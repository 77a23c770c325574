"""The composition root: one ASGI application out of the services, behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from minibase.auth.app import open_auth
from minibase.config import Config
from minibase.gateway import GUARDED_PREFIXES, Gateway
from minibase.keys import Keyring
from minibase.postgres.endpoint import Endpoint
from minibase.realtime.app import open_realtime
from minibase.rest.app import open_rest


class Services(TypedDict):
    """What the lifespan opens; the server hands it to every request as its state."""

    rest: ASGIApp
    auth: ASGIApp
    realtime: ASGIApp


def build(*, config: Config, keyring: Keyring, endpoint: Endpoint) -> ASGIApp:
    """The whole API as one application. Its lifespan opens the services and closes them in reverse order."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Services]:
        async with (
            open_rest(endpoint=endpoint, keyring=keyring, config=config) as rest,
            open_auth(endpoint=endpoint, keyring=keyring, config=config) as auth,
            open_realtime(endpoint=endpoint, keyring=keyring, config=config) as realtime,
        ):
            yield Services(rest=rest, auth=auth, realtime=realtime)

    routes = [
        Mount("/rest/v1", app=_Service("rest")),
        Mount("/auth/v1", app=_Service("auth")),
        Mount("/realtime/v1", app=_Service("realtime")),
        Route("/health", _health),
    ]
    services = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _unknown_path})
    return Gateway(services, keyring=keyring)


class _Service:
    """Passes requests to the service of this name that the lifespan opened."""

    def __init__(self, name: Literal["rest", "auth", "realtime"]) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["state"][self._name](scope, receive, send)


async def _health(_: Request) -> JSONResponse:
    """Up means: the lifespan has opened every service."""
    return JSONResponse({"name": "minibase", "status": "ok"})


async def _unknown_path(request: Request, _: Exception) -> JSONResponse:
    known = ", ".join(GUARDED_PREFIXES)
    return JSONResponse({"message": f"Nothing is served at {request.url.path}; services are at {known}."}, 404)
