"""The ASGI shell: reads a request, sends it through the stages, writes the response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from minibase.config import Config
from minibase.keys import Keyring
from minibase.postgres.endpoint import Endpoint, Login
from minibase.rest.database.connection import DatabaseAwayError, DatabaseError
from minibase.rest.database.pool import Pool, PoolLimits
from minibase.rest.database.transaction import Session, run_transaction
from minibase.rest.database.watch import CatalogueWatch
from minibase.rest.errors import Problem, RestError, refuse
from minibase.rest.identity import Identity, identify
from minibase.rest.problems import explain
from minibase.rest.request.parse import parse_request
from minibase.rest.response.answer import Response, check_outcome, needs_check, respond
from minibase.rest.session import reads_only, session_settings
from minibase.rest.templates import Planner

# Larger bodies are refused before they fill the memory.
MAX_BODY_BYTES: Final = 64 * 1024 * 1024


@asynccontextmanager
async def open_rest(
    *, endpoint: Endpoint, keyring: Keyring, config: Config, limits: PoolLimits | None = None
) -> AsyncIterator[ASGIApp]:
    """Yield the REST service as an ASGI app, with its catalogue loaded where the database answers.

    It needs no database to start: after the patience of `limits` it starts without one, requests get 503 and the
    watch keeps trying.
    """
    dsn = endpoint.dsn(Login.API)
    limits = limits or PoolLimits()
    pool = Pool(dsn, limits)
    watch = CatalogueWatch(dsn, config.schemas)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        try:
            with anyio.move_on_after(limits.patience):
                await watch.loaded.wait()
            yield _RestApp(pool=pool, watch=watch, keyring=keyring, config=config)
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await pool.close()


class _RestApp:
    def __init__(self, *, pool: Pool, watch: CatalogueWatch, keyring: Keyring, config: Config) -> None:
        self._pool = pool
        self._watch = watch
        self._keyring = keyring
        self._config = config
        self._planner: Planner | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        anonymous = True
        try:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            identity = identify(self._keyring, next((text for name, text in headers if name == "authorization"), None))
            anonymous = identity.anonymous
            response = await self._answer(scope, headers, identity, await _read_body(receive))
        except RestError as error:
            response = _tell_problem(error.problem, head=scope["method"] == "HEAD")
        except DatabaseError as error:
            response = _tell_problem(explain(error.report, anonymous=anonymous), head=scope["method"] == "HEAD")
        except DatabaseAwayError as error:
            response = _tell_problem(_broken(error), head=scope["method"] == "HEAD")
        await _send_response(send, response)

    async def _answer(self, scope: Scope, headers: list[tuple[str, str]], identity: Identity, body: bytes) -> Response:
        config, query = self._config, scope["query_string"].decode("latin-1")
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        request = parse_request(
            method=scope["method"], path=path, query=query, headers=headers, body=body, schemas=config.schemas
        )
        planner = self._newest_planner()
        plan, statement = planner.plan(request)
        session = Session(
            read_only=reads_only(request, plan),
            settings=session_settings(
                catalogue=planner.catalogue,
                request=request,
                plan=plan,
                identity=identity,
                path=path,
                headers=headers,
                extra_search_path=config.extra_search_path,
            ),
        )
        check = (lambda outcome: check_outcome(plan, outcome)) if needs_check(plan) else None
        async with self._pool.connection() as connection:
            outcome = await run_transaction(connection, session, statement, check)
        return respond(request, plan, outcome, query=query, schemas=config.schemas)

    def _newest_planner(self) -> Planner:
        """What was remembered of one snapshot goes with it."""
        catalogue = self._watch.snapshot
        if catalogue is None:
            raise refuse(
                503,
                "PGRST002",
                "Could not query the database for the schema cache. Retrying.",
                headers={"Retry-After": "1"},
            )
        if self._planner is None or self._planner.catalogue is not catalogue:
            self._planner = Planner(catalogue, self._config.max_rows)
        return self._planner


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = bytearray(message["body"])
    while message.get("more_body"):
        message = await receive()
        chunks += message.get("body", b"")
        if len(chunks) > MAX_BODY_BYTES:
            raise refuse(413, "PGRST102", f"The body is larger than {MAX_BODY_BYTES} bytes; send it in parts.")
    return bytes(chunks)


def _broken(error: DatabaseAwayError) -> Problem:
    return Problem(
        status=503,
        code="PGRST001",
        message="The connection to the database broke during the request. Whether it took effect is not known.",
        details=str(error),
        headers={"Retry-After": "1"},
    )


def _tell_problem(problem: Problem, *, head: bool) -> Response:
    headers = (
        ("Content-Type", "application/json; charset=utf-8"),
        ("Proxy-Status", f"PostgREST; error={problem.code}"),
        *problem.headers.items(),
    )
    return Response(status=problem.status, headers=headers, body=b"" if head else problem.body())


async def _send_response(send: Send, response: Response) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
