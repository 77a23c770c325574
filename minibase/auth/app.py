"""The Auth API as an ASGI application over one database."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from minibase.auth.admin import AdminRoutes
from minibase.auth.attempts import AttemptLimit
from minibase.auth.errors import API_VERSION_HEADER, AuthError, render_error
from minibase.auth.passwords import PasswordHasher
from minibase.auth.routes import PublicRoutes
from minibase.auth.store import DatabaseAwayError, open_store
from minibase.config import Config
from minibase.keys import Keyring
from minibase.postgres.endpoint import Endpoint

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_auth(*, endpoint: Endpoint, keyring: Keyring, config: Config) -> AsyncIterator[ASGIApp]:
    """The application, for as long as its connections may stand."""
    hasher = PasswordHasher()
    async with open_store(endpoint) as store:
        public = PublicRoutes(store=store, keyring=keyring, config=config, hasher=hasher, attempts=AttemptLimit())
        admin = AdminRoutes(store=store, keyring=keyring, config=config, hasher=hasher)
        yield Starlette(
            routes=[*public.routes(), *admin.routes()],
            exception_handlers={
                AuthError: _refusal,
                HTTPException: _no_such_endpoint,
                DatabaseAwayError: _database_away,
                asyncpg.PostgresError: _database_error,
                asyncpg.InterfaceError: _database_away,
                asyncpg.InternalClientError: _database_away,  # a connection the server has just ended
                OSError: _database_away,
                TimeoutError: _database_away,
                Exception: _unexpected,
            },
        )


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, AuthError)
    rendered = render_error(error, request.headers.get(API_VERSION_HEADER))
    return JSONResponse(dict(rendered.body), rendered.status, dict(rendered.headers))


async def _no_such_endpoint(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "validation_failed" if error.status_code == 405 else "not_found"
    message = f"{request.method} {request.url.path} is not served here: {error.detail}"
    return await _refusal(request, AuthError(error.status_code, code, message))


async def _database_error(request: Request, error: Exception) -> Response:
    """A statement failed, as a rule in a trigger of the project. Never 4xx: a client would drop its session."""
    assert isinstance(error, asyncpg.PostgresError)
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError):
        return await _database_away(request, error)
    logger.error("auth: %s %s: %s (%s)", request.method, request.url.path, error, error.sqlstate)
    return await _refusal(request, AuthError(500, "unexpected_failure", f"Database error: {error}"))


async def _unexpected(request: Request, _: Exception) -> Response:
    """A fault of ours; it is raised on after this answer, so that the server logs where."""
    return await _refusal(request, AuthError(500, "unexpected_failure", "Unexpected failure, please check server logs"))


async def _database_away(request: Request, error: Exception) -> Response:
    """503, which both official clients retry while they keep the session."""
    logger.warning("auth: %s %s: the database cannot be reached: %s", request.method, request.url.path, error)
    message = "The database cannot be reached, try again in a moment"
    return await _refusal(request, AuthError(503, "unexpected_failure", message))
