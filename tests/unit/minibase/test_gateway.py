"""Who gets past the gateway, as whom, and what a browser is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibase.gateway import Gateway, Refusal, admit
from minibase.keys import Keyring, Secrets

SECRETS = Secrets.generate()
KEYRING = Keyring(SECRETS)
USER = KEYRING.sign_access_token({"sub": "u", "role": "authenticated", "exp": 4_000_000_000})
PUBLISHABLE, SECRET, ANON, SERVICE = (
    SECRETS.publishable_key,
    SECRETS.secret_key,
    SECRETS.anon_key,
    SECRETS.service_role_key,
)


def http(
    *headers: tuple[str, str], path: str = "/rest/v1/todos", query: str = "", method: str = "GET"
) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }


def authorizations(scope: Any) -> list[str]:
    return [value.decode() for name, value in scope["headers"] if name == b"authorization"]


ADMITTED = {
    "publishable key": ([("apikey", PUBLISHABLE)], "", ANON),
    "secret key": ([("apikey", SECRET)], "", SERVICE),
    "legacy anon key": ([("apikey", ANON)], "", ANON),
    "legacy service key": ([("apikey", SERVICE)], "", SERVICE),
    "key in the query": ([], f"apikey={PUBLISHABLE}", ANON),
    "key in both places": ([("apikey", PUBLISHABLE)], f"apikey={SECRET}", ANON),
    "opaque key as bearer": ([("apikey", PUBLISHABLE), ("authorization", f"Bearer {PUBLISHABLE}")], "", ANON),
    "bearer in any case": ([("apikey", SECRET), ("authorization", f"bEaReR  {SECRET}")], "", SERVICE),
    "secret as bearer never outranks the key": (
        [("apikey", PUBLISHABLE), ("authorization", f"Bearer {SECRET}")],
        "",
        ANON,
    ),
    "user token outranks a secret key": ([("apikey", SECRET), ("authorization", f"Bearer {USER}")], "", USER),
    "user token outranks a service key": ([("apikey", SERVICE), ("authorization", f"Bearer {USER}")], "", USER),
    "legacy key in both": ([("apikey", ANON), ("authorization", f"Bearer {ANON}")], "", ANON),
    "a bad token stays bad": ([("apikey", SECRET), ("authorization", "Bearer rubbish")], "", "rubbish"),
    "an empty token stays empty": ([("apikey", SECRET), ("authorization", "Bearer ")], "", ""),
}


@pytest.mark.parametrize(("headers", "query", "token"), ADMITTED.values(), ids=ADMITTED.keys())
def test_the_token_a_service_sees(headers: list[tuple[str, str]], query: str, token: str) -> None:
    admitted = admit(http(*headers, query=query), KEYRING)
    assert not isinstance(admitted, Refusal)
    assert authorizations(admitted) == [f"Bearer {token}"]


@pytest.mark.parametrize("scheme", ["Basic dTpw", "Bearer", "sb_secret_x"])
def test_another_scheme_is_not_raised_to_the_keys_role(scheme: str) -> None:
    admitted = admit(http(("apikey", SECRET), ("authorization", scheme)), KEYRING)
    assert not isinstance(admitted, Refusal)
    assert authorizations(admitted) == [scheme]


CREDENTIALS = [PUBLISHABLE, SECRET, ANON, SERVICE, USER, "rubbish", ""]
SENT_HEADERS = st.lists(
    st.tuples(st.just("apikey"), st.sampled_from(CREDENTIALS))
    | st.tuples(st.just("authorization"), st.sampled_from([f"Bearer {each}" for each in CREDENTIALS] + ["Basic x"])),
    max_size=4,
)
SENT_QUERY = st.lists(st.sampled_from([f"apikey={each}" for each in CREDENTIALS] + ["a=eq.1"]), max_size=3).map(
    "&".join
)


@given(headers=SENT_HEADERS, query=SENT_QUERY)
def test_nobody_becomes_the_service_role_without_its_key(headers: list[tuple[str, str]], query: str) -> None:
    admitted = admit(http(*headers, query=query), KEYRING)
    if isinstance(admitted, Refusal) or authorizations(admitted) != [f"Bearer {SERVICE}"]:
        return
    authorization = dict(headers).get("authorization")
    keys = [value for name, value in headers if name == "apikey"] or [query.partition("apikey=")[2].partition("&")[0]]
    assert authorization == f"Bearer {SERVICE}" or keys in ([SECRET], [SERVICE])
    assert authorization != f"Bearer {USER}"


REFUSED = {
    "no key": ([], "", 401, "No API key found in request"),
    "empty key": ([("apikey", "")], "", 401, "No API key found in request"),
    "empty key in the query": ([], "apikey=", 401, "No API key found in request"),
    "token without key": ([("authorization", f"Bearer {USER}")], "", 401, "No API key found in request"),
    "key only as bearer": ([("authorization", f"Bearer {SECRET}")], "", 401, "No API key found in request"),
    "name in another case in the query": ([], f"APIKEY={SECRET}", 401, "No API key found in request"),
    "key under a longer name": ([], f"xapikey={SECRET}", 401, "No API key found in request"),
    "unknown key": ([("apikey", "sb_secret_guess")], "", 401, "Invalid API key"),
    "user token as key": ([("apikey", USER)], "", 401, "Invalid API key"),
    "blank around": ([("apikey", f"{SECRET} ")], "", 401, "Invalid API key"),
    "joined keys": ([("apikey", f"{PUBLISHABLE}, {SECRET}")], "", 401, "Invalid API key"),
    "not ASCII": ([("apikey", "sb_sécret")], "", 401, "Invalid API key"),
    "a bad key in the header beats a good one in the query": (
        [("apikey", "guess")],
        f"apikey={SECRET}",
        401,
        "Invalid API key",
    ),
    "two headers": ([("apikey", PUBLISHABLE), ("apikey", SECRET)], "", 401, "Duplicate API key found"),
    "two in the query": ([], f"apikey={PUBLISHABLE}&apikey={SECRET}", 401, "Duplicate API key found"),
    "two authorizations": (
        [("apikey", PUBLISHABLE), ("authorization", f"Bearer {USER}"), ("authorization", f"Bearer {SERVICE}")],
        "",
        400,
        "Duplicate Authorization header found",
    ),
}


@pytest.mark.parametrize(("headers", "query", "status", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_who_is_refused_and_why(headers: list[tuple[str, str]], query: str, status: int, message: str) -> None:
    refused = admit(http(*headers, query=query), KEYRING)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.message) == (status, message)


def test_no_service_sees_the_key_in_the_query() -> None:
    admitted = admit(http(query=f"select=*&apikey={ANON}&name=eq.a%26apikey%3Db"), KEYRING)
    assert not isinstance(admitted, Refusal)
    assert admitted["query_string"] == b"select=*&name=eq.a%26apikey%3Db"


@pytest.mark.parametrize(
    "path",
    [
        "/auth/v1/verify",
        "/auth/v1/callback",
        "/auth/v1/authorize",
        "/auth/v1/.well-known/jwks.json",
        "/health",
        "/other",
    ],
)
def test_open_paths_need_no_key(path: str) -> None:
    assert not isinstance(admit(http(path=path), KEYRING), Refusal)


@pytest.mark.parametrize(
    "path",
    [
        "/rest/v1",
        "/rest/v1/",
        "/auth/v1/user",
        "/auth/v1/admin/users",
        "/auth/v1/verify/../admin/users",
        "/auth/v1/verify/",
        "/realtime/v1/api/broadcast",
        "/rest/v1/.well-known/jwks.json",
    ],
)
def test_every_other_path_of_a_service_needs_one(path: str) -> None:
    assert isinstance(admit(http(path=path), KEYRING), Refusal)


class Recorder:
    """An application behind the gateway that notes what reached it and answers with headers of its own."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        headers = [(b"content-type", b"text/plain"), (b"Access-Control-Allow-Origin", b"http://evil")]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})


async def ask(app: Any, scope: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    sent = await messages(app, scope)
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


async def messages(app: Any, scope: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await Gateway(app, keyring=KEYRING)(scope, receive, send)
    return sent


async def test_a_preflight_needs_no_key_and_reaches_no_service() -> None:
    app = Recorder()
    asked = ("access-control-request-headers", "apikey,x-mine")
    scope = http(("origin", "http://page"), ("access-control-request-method", "PATCH"), asked, method="OPTIONS")
    status, headers, body = await ask(app, scope)
    assert (status, body, app.seen) == (204, b"", [])
    assert (b"access-control-allow-origin", b"*") in headers
    assert (b"access-control-allow-headers", b"apikey,x-mine") in headers


async def test_refusals_and_errors_carry_cors_once() -> None:
    app = Recorder()
    for scope, expected in ((http(), 401), (http(("apikey", PUBLISHABLE)), 500)):
        status, headers, _ = await ask(app, scope)
        assert status == expected
        origins = [value for name, value in headers if name.lower() == b"access-control-allow-origin"]
        assert origins == [b"*"]
        assert any(b"x-total-count" in value for name, value in headers if name == b"access-control-expose-headers")


async def test_a_refusal_says_what_to_send() -> None:
    _, _, body = await ask(Recorder(), http())
    assert json.loads(body) == {
        "message": "No API key found in request",
        "hint": "No `apikey` request header or url param was found.",
    }


async def test_sockets_and_the_lifespan_pass_untouched() -> None:
    app = Recorder()
    for kind in ("websocket", "lifespan"):
        scope = {"type": kind, "path": "/realtime/v1/websocket", "headers": []}
        await ask(app, scope)
        assert app.seen[-1] is scope


@pytest.mark.parametrize("path", ["/rest/v1/todos", "/auth/v1/admin/users", "/realtime/v10/websocket", "/"])
async def test_a_socket_elsewhere_reaches_no_service(path: str) -> None:
    app = Recorder()
    (sent,) = await messages(app, {"type": "websocket", "path": path, "headers": []})
    assert (sent["type"], app.seen) == ("websocket.close", [])
