"""The service: the websocket endpoint, put together from its parts.

Mounted at `/realtime/v1` by the composition root.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from minibase.config import Config
from minibase.keys import Keyring, TokenError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.realtime.authority import Authority
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.hub import Hub
from minibase.realtime.limits import Limits, Rates
from minibase.realtime.messages import Version
from minibase.realtime.reader import Reader
from minibase.realtime.rest import BroadcastEndpoints
from minibase.realtime.sessions import Connection, Session, SessionPool, connect
from minibase.realtime.socket import SocketSession
from minibase.realtime.tokens import Claims, RefusedTokenError, parse_claims, refusal
from minibase.realtime.visibility import Visibility

VISIBILITY_SESSIONS = 4
PRIVATE_SESSIONS = 2
SCHEMA_CHANNEL = "pgrst"
PATHS = ("/websocket", "/socket/websocket", "/realtime/v1/websocket")


class ConnectionRefusedError(Exception):
    """A websocket answered with an HTTP status in place of the upgrade."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@asynccontextmanager
async def open_realtime(*, endpoint: Endpoint, keyring: Keyring, config: Config) -> AsyncIterator[ASGIApp]:
    """The Realtime dialect on the endpoint's database, for as long as the context lasts.

    The stream of changes is opened in the background and reopened after every interruption; joins wait for it a while.
    """
    limits = Limits(
        channels=config.max_channels_per_client,
        broadcast_bytes=config.max_payload_size_in_kb * 1_000,
        users=config.max_concurrent_users,
        joins_per_second=config.max_joins_per_second,
        events_per_second=config.max_events_per_second,
        presence_per_second=config.max_presence_events_per_second,
        presence_calls=config.max_client_presence_events_per_window,
        presence_window_s=config.client_presence_window_ms / 1000,
        silence_s=config.max_seconds_silent,
        alone_s=config.max_seconds_without_channel,
        private_only=config.private_only,
    )
    pool = SessionPool(endpoint, VISIBILITY_SESSIONS)
    private = SessionPool(endpoint, PRIVATE_SESSIONS)
    settling = Session(lambda: connect(endpoint, Login.ADMIN))
    reading = Session(lambda: _connect_listening(endpoint, schema_changed))
    catalogue = Catalogue(reading)
    try:
        async with anyio.create_task_group() as tasks:
            authority = Authority(private, catalogue)
            hub = Hub(tasks=tasks, catalogue=catalogue, visibility=Visibility(pool), authority=authority)

            def schema_changed() -> None:
                catalogue.forget_all()
                hub.forget_plans()

            tasks.start_soon(Reader(endpoint=endpoint, catalogue=catalogue, session=settling, hub=hub).run)
            yield _Service(keyring, hub, authority, limits).routes()
            tasks.cancel_scope.cancel()
    finally:
        for session in (pool, private, settling, reading):
            await session.close()


async def _connect_listening(endpoint: Endpoint, schema_changed: Callable[[], None]) -> Connection:
    """A session that hears of schema changes. What was known before it was opened may be out of date."""
    connection = await connect(endpoint, Login.ADMIN)
    await connection.add_listener(SCHEMA_CHANNEL, lambda *_: schema_changed())
    schema_changed()
    return connection


class _Service:
    def __init__(self, keyring: Keyring, hub: Hub, authority: Authority, limits: Limits) -> None:
        self._keyring = keyring
        self._hub = hub
        self._authority = authority
        self._limits = limits
        self._rates = Rates(limits)
        self._users = 0

    def routes(self) -> ASGIApp:
        rest = BroadcastEndpoints(self._hub, self._authority, self._verify, self._limits, self._rates)
        return Starlette(
            routes=[
                *(WebSocketRoute(path, self._websocket) for path in PATHS),
                Route("/api/broadcast", rest.batch, methods=["POST"]),
                Route("/api/broadcast/{message:path}", rest.single, methods=["POST"]),
            ]
        )

    async def _websocket(self, websocket: WebSocket) -> None:
        try:
            version, token = self._admit(websocket)
        except ConnectionRefusedError as refused:
            await websocket.send_denial_response(JSONResponse({"error": str(refused)}, status_code=refused.status))
            return
        try:
            await websocket.accept()
        except WebSocketDisconnect:
            return
        self._users += 1
        try:
            await self._session(websocket, version, token).run()
        finally:
            self._users -= 1

    def _session(self, websocket: WebSocket, version: Version, token: str) -> SocketSession:
        return SocketSession(
            websocket,
            version=version,
            token=token,
            verify=self._verify,
            hub=self._hub,
            authority=self._authority,
            limits=self._limits,
            rates=self._rates,
        )

    def _admit(self, websocket: WebSocket) -> tuple[Version, str]:
        """The framing and the token of a connection; ConnectionRefusedError says why there is none."""
        version = _version(websocket.query_params.get("vsn", Version.V1))
        key = websocket.headers.get("x-api-key") or websocket.query_params.get("apikey")
        if not key:
            raise ConnectionRefusedError(401, "API key is missing")
        token = self._keyring.token_for_api_key(key) or key
        try:
            self._verify(token)
        except RefusedTokenError as refused:
            is_expired = refused.text.startswith("Token has expired")
            raise ConnectionRefusedError(401, "Token has expired" if is_expired else refused.text) from refused
        if self._limits.users and self._users >= self._limits.users:
            raise ConnectionRefusedError(429, "Too many connected users")
        return version, token

    def _verify(self, token: str) -> Claims:
        try:
            claims = self._keyring.verify(token, leeway=0)
        except TokenError as error:
            raise refusal(error.reason, token, time.time()) from error
        return parse_claims(claims)


def _version(asked: str) -> Version:
    if asked.startswith("1.0."):
        return Version.V1
    if asked == Version.V2:
        return Version.V2
    raise ConnectionRefusedError(403, f"vsn {asked!r} is not supported; use 1.0.0 or 2.0.0")
