"""The gateway in front of every service: which API key counts, whose token decides, and CORS.

Follows hosted Supabase: a request without a valid API key is refused here; a caller's own token always outranks the
key; an API key without a token is swapped for the token it stands for. Services behind it see one `Authorization`
header and never an opaque key in it. Plain ASGI, because it runs on every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from minibase.keys import Keyring

Headers = list[tuple[bytes, bytes]]

OPAQUE_KEY_PREFIX = b"sb_"
GUARDED_PREFIXES = ("/rest/v1", "/auth/v1", "/realtime/v1")
SOCKET_PREFIX = "/realtime/v1/"
OPEN_PATHS = frozenset(
    f"/auth/v1/{name}" for name in ("verify", "callback", "authorize", ".well-known/jwks.json")
)  # a browser follows links to these, and verifiers fetch the last, with no key at hand

ALLOWED_HEADERS = (
    b"apikey, authorization, content-type, x-client-info, x-supabase-api-version, prefer, accept-profile, "
    b"content-profile, range, range-unit, x-retry-count"
)
EXPOSED_HEADERS = (
    b"content-range, content-location, content-profile, location, preference-applied, range-unit, retry-after, "
    b"x-total-count, link, x-supabase-api-version, x-sb-error-code, sb-project-ref, sb-request-id"
)
CORS_HEADERS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED_HEADERS),
]
CORS_NAMES = frozenset(name for name, _ in CORS_HEADERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the gateway itself answers, in the body hosted Supabase's gateway sends."""

    status: Literal[400, 401]
    message: str
    hint: str

    def body(self) -> bytes:
        return orjson.dumps({"message": self.message, "hint": self.hint})


NO_KEY = Refusal(
    status=401,
    message="No API key found in request",
    hint="No `apikey` request header or url param was found.",
)
UNKNOWN_KEY = Refusal(
    status=401,
    message="Invalid API key",
    hint="Use the publishable or secret key, or the anon or service_role key, of this project.",
)
SEVERAL_KEYS = Refusal(
    status=401,
    message="Duplicate API key found",
    hint="Send one `apikey` header, or one `apikey` url param.",
)
SEVERAL_AUTHORIZATIONS = Refusal(
    status=400,
    message="Duplicate Authorization header found",
    hint="Send one `Authorization` header.",
)


class Gateway:
    """ASGI middleware. Realtime's sockets pass untouched, because they carry their key where only Realtime looks;
    any other socket ends here: behind the gateway, services take a key for checked."""

    def __init__(self, app: ASGIApp, *, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not scope["path"].startswith(SOCKET_PREFIX):
            await send({"type": "websocket.close", "code": 1008, "reason": f"Sockets are served below {SOCKET_PREFIX}"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_preflight(scope):
            await _answer(send, 204, preflight_headers(scope["headers"]), b"")
            return
        send_with_cors = _adding_cors(send)
        admitted = admit(scope, self._keyring)
        if isinstance(admitted, Refusal):
            headers: Headers = [(b"content-type", b"application/json; charset=utf-8")]
            await _answer(send_with_cors, admitted.status, headers, admitted.body())
            return
        await self._app(admitted, receive, send_with_cors)


def admit(scope: Scope, keyring: Keyring) -> Scope | Refusal:
    """The request as a service may see it, or why it may not. Paths outside the services need no key."""
    path: str = scope["path"]
    if path in OPEN_PATHS or not _is_guarded(path):
        return scope
    headers: Headers = scope["headers"]
    authorizations = [value for name, value in headers if name == b"authorization"]
    if len(authorizations) > 1:
        return SEVERAL_AUTHORIZATIONS
    key, query = _api_key(headers, scope["query_string"])
    if isinstance(key, Refusal):
        return key
    token = keyring.token_for_api_key(key)
    if token is None:
        return UNKNOWN_KEY
    if not authorizations or _carries_opaque_key(authorizations[0]):
        headers = [pair for pair in headers if pair[0] != b"authorization"]
        headers.append((b"authorization", b"Bearer " + token.encode()))
    return {**scope, "headers": headers, "query_string": query}


def is_preflight(scope: Scope) -> bool:
    """A browser asking leave (Fetch 4.8): never carries a key. Any other OPTIONS is an ordinary request."""
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


def preflight_headers(request: Headers) -> Headers:
    """Leave for every method, and for the headers asked for: the API is open to all origins, its keys guard it."""
    asked = next((value for name, value in request if name == b"access-control-request-headers"), ALLOWED_HEADERS)
    return [
        *CORS_HEADERS[:1],
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        (b"access-control-allow-headers", asked),
        (b"access-control-max-age", b"3600"),
        (b"vary", b"Access-Control-Request-Headers"),
    ]


def _is_guarded(path: str) -> bool:
    return path.startswith(GUARDED_PREFIXES)


def _api_key(headers: Headers, query: bytes) -> tuple[str | Refusal, bytes]:
    """The one key of a request, header before query, and the query without it: no service knows that parameter."""
    offered = [value.decode("latin-1") for name, value in headers if name == b"apikey"]
    if b"apikey=" in query:
        pairs = query.split(b"&")
        in_query = [unquote_to_bytes(pair[7:]).decode("latin-1") for pair in pairs if pair.startswith(b"apikey=")]
        offered = offered or in_query
        query = b"&".join(pair for pair in pairs if not pair.startswith(b"apikey="))
    if len(offered) > 1:
        return SEVERAL_KEYS, query
    return (offered[0] if offered and offered[0] else NO_KEY), query


def _carries_opaque_key(authorization: bytes) -> bool:
    scheme, _, credentials = authorization.partition(b" ")
    return scheme.lower() == b"bearer" and credentials.lstrip().startswith(OPAQUE_KEY_PREFIX)


def _adding_cors(send: Send) -> Send:
    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [pair for pair in message.get("headers", ()) if pair[0].lower() not in CORS_NAMES]
            message = {**message, "headers": own + CORS_HEADERS}
        await send(message)

    return send_with_cors


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + length})
    await send({"type": "http.response.body", "body": body})
