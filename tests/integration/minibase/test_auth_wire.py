"""The API as raw HTTP: what hostile, clumsy and very old callers get."""

from __future__ import annotations

import json
import time
from typing import Any

import asyncpg
import bcrypt
import jwt

from minibase.auth.bodies import MAXIMUM_BODY_BYTES
from minibase.postgres.endpoint import Login

PASSWORD = "correct horse battery"
NEW_FORM = {"x-supabase-api-version": "2024-01-01"}


def public(api: Any, **more: str) -> dict[str, str]:
    return {"apikey": api.secrets.publishable_key, **more}


def service(api: Any) -> dict[str, str]:
    return {"apikey": api.secrets.secret_key}


def bearer(api: Any, token: str) -> dict[str, str]:
    return public(api, authorization=f"Bearer {token}")


async def make_user(api: Any, email: str = "ada@example.com", **fields: Any) -> dict[str, Any]:
    body = {"email": email, "password": PASSWORD, "email_confirm": True, **fields}
    answer = await api.http.post("/auth/v1/admin/users", headers=service(api), json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def cheap_hash(prefix: bytes) -> str:
    """What pgcrypto's crypt() writes, at the lowest cost there is."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix)).decode()


async def sign_in(api: Any, email: str = "ada@example.com", password: str = PASSWORD) -> Any:
    return await api.http.post(
        "/auth/v1/token?grant_type=password", headers=public(api), json={"email": email, "password": password}
    )


async def test_the_frame_around_the_services(api: Any) -> None:
    health = await api.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    unknown = await api.http.get("/storage/v1/bucket")
    assert unknown.status_code == 404
    assert "/storage/v1/bucket" in unknown.json()["message"]
    assert unknown.headers["access-control-allow-origin"] == "*"
    no_key = await api.http.get("/auth/v1/settings")
    assert (no_key.status_code, no_key.json()["message"]) == (401, "No API key found in request")
    inside = await api.http.get("/auth/v1/sso", headers=public(api))
    assert (inside.status_code, inside.json()["error_code"]) == (404, "not_found")
    method = await api.http.delete("/auth/v1/token", headers=public(api))
    assert method.status_code == 405


async def test_a_browser_is_let_in_and_may_read_the_answer(api: Any) -> None:
    asked = {
        "origin": "http://page",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey",
    }
    preflight = await api.http.options("/auth/v1/token", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "apikey"
    refused = await sign_in(api, "nobody@example.com")
    assert refused.status_code == 400
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_open_endpoints_and_settings(api: Any) -> None:
    keys = await api.http.get("/auth/v1/.well-known/jwks.json")
    assert keys.json() == api.keyring.jwks()
    assert keys.headers["cache-control"] == "public, max-age=600"
    settings = (await api.http.get("/auth/v1/settings", headers=public(api))).json()
    assert settings["external"] == {"anonymous_users": False, "email": True, "phone": False}
    assert (settings["disable_signup"], settings["mailer_autoconfirm"]) == (False, True)
    assert (await api.http.get("/auth/v1/health", headers=public(api))).json()["name"] == "GoTrue"


async def test_an_error_comes_in_the_form_asked_for(api: Any) -> None:
    call = ("/auth/v1/token?grant_type=magic",)
    old = await api.http.post(*call, headers=public(api))
    assert old.json() == {"code": 400, "error_code": "invalid_credentials", "msg": "unsupported_grant_type"}
    assert "x-supabase-api-version" not in old.headers
    new = await api.http.post(*call, headers=public(api) | NEW_FORM)
    assert new.json() == {"code": "invalid_credentials", "message": "unsupported_grant_type"}
    assert new.headers["x-supabase-api-version"] == "2024-01-01"
    assert old.headers["x-sb-error-code"] == new.headers["x-sb-error-code"] == "invalid_credentials"


NOBODYS_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"exp": 1}, "bad_jwt"),
    ({"sub": "not-a-uuid"}, "bad_jwt"),
    ({"sub": 7}, "bad_jwt"),
    ({"sub": ["x"]}, "bad_jwt"),
    ({"sub": None}, "bad_jwt"),
    ({"session_id": "x' or true --"}, "bad_jwt"),
    ({"sub": "00000000-0000-4000-8000-000000000000"}, "user_not_found"),
    ({"session_id": "00000000-0000-4000-8000-000000000000"}, "session_not_found"),
]


async def test_tokens_that_speak_for_nobody(api: Any) -> None:
    ada = await make_user(api)
    good = {"sub": ada["id"], "role": "authenticated", "exp": int(time.time()) + 60}
    assert (await api.http.get("/auth/v1/user", headers=bearer(api, sign(api, good)))).status_code == 200
    for claims, code in NOBODYS_CLAIMS:
        answer = await api.http.get("/auth/v1/user", headers=bearer(api, sign(api, good | claims)))
        assert (answer.status_code, answer.json()["error_code"]) == (403, code), claims


def sign(api: Any, claims: dict[str, Any]) -> str:
    """A token of our own key with any claims: PyJWT would refuse to write some of these."""
    return str(api.keyring.sign_access_token(claims)) if isinstance(claims["sub"], str) else by_hand(api, claims)


def by_hand(api: Any, claims: dict[str, Any]) -> str:
    secret = api.secrets.jwt_secret
    return str(jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), secret, algorithm="HS256"))


async def test_forged_tokens_open_nothing(api: Any) -> None:
    forged = jwt.encode({"role": "service_role"}, "x" * 40, algorithm="HS256")
    confused = jwt.encode(
        {"role": "service_role"},
        api.secrets.jwt_secret,
        algorithm="HS256",
        headers={"kid": api.secrets.signing_jwk["kid"]},
    )
    unsigned = jwt.encode({"role": "service_role"}, None, algorithm="none") + "YQ"
    for token in (forged, confused, unsigned, "null", "undefined", "a.b.c", "x" * 20_000):
        for key in (api.secrets.publishable_key, api.secrets.secret_key):
            headers = {"apikey": key, "authorization": f"Bearer {token}"}
            answer = await api.http.get("/auth/v1/admin/users", headers=headers)
            assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")
            as_key = await api.http.get("/auth/v1/admin/users", headers={"apikey": token})
            assert (as_key.status_code, as_key.json()["message"]) == (401, "Invalid API key")


async def test_a_users_token_beside_a_secret_key_is_still_only_the_user(api: Any) -> None:
    await make_user(api)
    token = (await sign_in(api)).json()["access_token"]
    headers = service(api) | {"authorization": f"Bearer {token}"}
    answer = await api.http.get(f"/auth/v1/admin/users?apikey={api.secrets.secret_key}", headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "not_admin")


async def test_a_key_with_the_name_of_another_case_in_a_header_counts_once(api: Any) -> None:
    answer = await api.http.get("/auth/v1/settings", headers={"ApiKey": api.secrets.publishable_key})
    assert answer.status_code == 200
    twice = [("APIKEY", api.secrets.publishable_key), ("apikey", api.secrets.secret_key)]
    assert (await api.http.get("/auth/v1/settings", headers=twice)).status_code == 401


async def test_users_cannot_raise_themselves(api: Any) -> None:
    body = {
        "email": "eve@example.com",
        "password": PASSWORD,
        "role": "service_role",
        "app_metadata": {"role": "operator"},
        "is_super_admin": True,
        "data": {"role": "operator"},
    }
    signed_up = (await api.http.post("/auth/v1/signup", headers=public(api), json=body)).json()
    answer = await api.http.put(
        "/auth/v1/user", headers=bearer(api, signed_up["access_token"]), json=body | {"password": None}
    )
    assert answer.status_code == 200
    token = (await sign_in(api, "eve@example.com")).json()["access_token"]
    claims = api.keyring.verify(token)
    assert claims["role"] == "authenticated"
    assert claims["app_metadata"] == {"provider": "email", "providers": ["email"]}


async def test_a_body_too_large_is_refused_before_it_is_whole(api: Any) -> None:
    async def endless() -> Any:
        for _ in range(MAXIMUM_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    path = "/auth/v1/token?grant_type=password"
    for content in (b" " * (MAXIMUM_BODY_BYTES + 1), endless()):
        answer = await api.http.post(path, headers=public(api), content=content)
        assert answer.status_code == 413


async def test_clumsy_bodies_are_refused_with_a_sentence(api: Any) -> None:
    for body in (b"{", b"[]", b"null", b"\xff\xfe", b'{"email": {"$ne": 1}, "password": "x"}'):
        answer = await api.http.post("/auth/v1/token?grant_type=password", headers=public(api), content=body)
        assert answer.status_code == 400, body
        assert answer.json()["msg"]


async def test_a_row_made_by_seed_sql_signs_in(api: Any) -> None:
    admin = await asyncpg.connect(api.endpoint.dsn(Login.OWNER))
    await admin.execute(
        """
        with u as (
            insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
                raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
            values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated',
                'seed@example.com', $1, now(),
                '{"provider": "email", "providers": ["email"]}', '{}', now(), now())
            returning *
        )
        insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
        select id::text, id, jsonb_build_object('sub', id, 'email', email), 'email', now(), now() from u
        """,
        cheap_hash(b"2a"),
    )
    await admin.close()
    answer = await sign_in(api, "Seed@example.com")
    assert answer.status_code == 200
    assert answer.json()["user"]["identities"][0]["provider"] == "email"


async def test_a_session_that_lives_long_does_not_pile_up_tokens(api: Any) -> None:
    await make_user(api)
    token = (await sign_in(api)).json()["refresh_token"]
    admin = await asyncpg.connect(api.endpoint.dsn(Login.ADMIN))
    for _ in range(4):
        path = "/auth/v1/token?grant_type=refresh_token"
        answer = await api.http.post(path, headers=public(api), json={"refresh_token": token})
        token = answer.json()["refresh_token"]
        await admin.execute("update auth.refresh_tokens set updated_at = now() - interval '2 days'")
    assert await admin.fetchval("select count(*) from auth.refresh_tokens") == 2
    await admin.close()


async def test_a_projects_trigger_runs_and_its_refusal_leaves_nothing(api: Any) -> None:
    admin = await asyncpg.connect(api.endpoint.dsn(Login.ADMIN))
    await admin.execute(
        """
        create table public.profiles (id uuid primary key references auth.users on delete cascade);
        create function public.greet() returns trigger language plpgsql security definer set search_path = '' as $$
        begin
            if new.email like 'bad%' then raise exception 'no such people here'; end if;
            insert into public.profiles (id) values (new.id);
            return new;
        end $$;
        create trigger greet after insert on auth.users for each row execute function public.greet();
        """
    )
    ada = await make_user(api)
    assert str(await admin.fetchval("select id from public.profiles")) == ada["id"]
    body = {"email": "bad@example.com", "password": PASSWORD}
    refused = await api.http.post("/auth/v1/admin/users", headers=service(api), json=body)
    assert refused.status_code == 500
    assert "no such people here" in refused.json()["msg"]
    assert await admin.fetchval("select count(*) from auth.users") == 1
    await admin.close()


async def test_an_address_that_tries_too_often_waits(api: Any) -> None:
    body = {"email": "ada@example.com", "password": "short"}
    tries = [await api.http.post("/auth/v1/signup", headers=public(api), json=body) for _ in range(29)]
    assert {answer.status_code for answer in tries} == {422}
    assert [(await sign_in(api)).status_code for _ in range(2)] == [400, 429]
    assert (await sign_in(api)).json()["error_code"] == "over_request_rate_limit"


async def test_pages_of_users_say_how_many_there_are(api: Any) -> None:
    for number in range(3):
        await make_user(api, f"user{number}@example.com")
    first = await api.http.get("/auth/v1/admin/users?page=1&per_page=2", headers=service(api))
    assert [user["email"] for user in first.json()["users"]] == ["user0@example.com", "user1@example.com"]
    assert first.headers["x-total-count"] == "3"
    assert 'page=2&per_page=2>; rel="next"' in first.headers["link"]
    for wrong in ("0", "-1", "x", "١", "9" * 30, "0000000019999999999"):
        answer = await api.http.get(f"/auth/v1/admin/users?page={wrong}", headers=service(api))
        assert answer.status_code == 400


async def test_a_user_deleted_softly_keeps_the_row_and_nothing_personal(api: Any) -> None:
    ada = await make_user(api, user_metadata={"name": "Ada"})
    gone = await api.http.request(
        "DELETE", f"/auth/v1/admin/users/{ada['id']}", headers=service(api), json={"should_soft_delete": True}
    )
    assert (gone.status_code, gone.json()) == (200, {})
    left = (await api.http.get(f"/auth/v1/admin/users/{ada['id']}", headers=service(api))).json()
    assert left["deleted_at"]
    assert "ada@" not in str(left)
    assert left["user_metadata"] == {}
    assert (await sign_in(api)).status_code == 400
    assert (await make_user(api))["id"] != ada["id"]


async def test_a_password_hash_brought_along_signs_in(api: Any) -> None:
    stored = "$2a$04$" + "x" * 10
    refused = await api.http.post(
        "/auth/v1/admin/users", headers=service(api), json={"email": "b@example.com", "password_hash": stored}
    )
    assert (refused.status_code, refused.json()["error_code"]) == (400, "validation_failed")
    await make_user(api, password=None, password_hash=cheap_hash(b"2b"))
    assert (await sign_in(api)).status_code == 200


async def test_an_unconfirmed_user_cannot_sign_in(api: Any) -> None:
    await make_user(api, email_confirm=False)
    answer = await sign_in(api)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "email_not_confirmed")


async def test_a_repeated_sign_up_that_waits_for_confirmation_tells_nothing(serve_api: Any) -> None:
    async with serve_api(enable_confirmations=True) as api:
        body = {"email": "ada@example.com", "password": PASSWORD}
        first, again = [
            (await api.http.post("/auth/v1/signup", headers=public(api), json=body)).json() for _ in range(2)
        ]
        assert first.keys() == again.keys()
        assert first["id"] != again["id"]
        assert (len(first["identities"]), again["identities"]) == (1, [])
