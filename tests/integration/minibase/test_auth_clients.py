"""The Auth API as the official Python clients use it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from anyio import to_thread
from supabase import AsyncClient, Client, ClientOptions, create_client
from supabase_auth.errors import AuthApiError, AuthRetryableError

from minibase.postgres.endpoint import Login

EMAIL = "Ada@Example.com"
PASSWORD = "correct horse battery"


async def create_ada(api: Any, **attributes: Any) -> Any:
    admin = await api.client(api.secrets.secret_key)
    created = await admin.auth.admin.create_user(
        {"email": EMAIL, "password": PASSWORD, "email_confirm": True, **attributes}
    )
    return created.user


async def sign_in(api: Any, password: str = PASSWORD) -> AsyncClient:
    signed_in: AsyncClient = await api.client()
    await signed_in.auth.sign_in_with_password({"email": EMAIL, "password": password})
    return signed_in


async def refusal(call: Any) -> tuple[int, str | None]:
    with pytest.raises(AuthApiError) as refused:
        await call
    return refused.value.status, refused.value.code


async def test_a_user_made_by_an_administrator_signs_in_and_reads_themselves(api: Any) -> None:
    made = await create_ada(api, app_metadata={"role": "operator"}, user_metadata={"name": "Ada"})
    ada = await sign_in(api)
    session = await ada.auth.get_session()
    assert session is not None
    assert session.expires_in == 3600
    assert session.user.id == made.id
    found = await ada.auth.get_user()
    assert found is not None
    assert found.user.email == "ada@example.com"
    assert found.user.app_metadata == {"provider": "email", "providers": ["email"], "role": "operator"}
    assert found.user.user_metadata == {"name": "Ada"}
    assert found.user.last_sign_in_at is not None
    (identity,) = found.user.identities or []
    assert identity.identity_data["email"] == "ada@example.com"
    assert identity.id == made.id


async def test_an_access_token_says_who_and_how_and_verifies_against_the_published_keys(api: Any) -> None:
    made = await create_ada(api)
    ada = await sign_in(api)
    answer = await ada.auth.get_claims()
    assert answer is not None
    assert answer["headers"]["alg"] == "ES256"
    claims = answer["claims"]
    assert claims["iss"] == f"{api.url}/auth/v1"
    assert (claims["sub"], claims["aud"], claims["role"]) == (made.id, "authenticated", "authenticated")
    assert claims["aal"] == "aal1"
    assert [entry["method"] for entry in claims["amr"]] == ["password"]
    assert claims["is_anonymous"] is False
    assert claims["exp"] - claims["iat"] == 3600


async def test_refreshing_rotates_the_token_and_keeps_the_session(api: Any) -> None:
    await create_ada(api)
    ada = await sign_in(api)
    first = await ada.auth.get_session()
    assert first is not None
    second = (await ada.auth.refresh_session()).session
    assert second is not None
    assert second.refresh_token != first.refresh_token
    before, after = (jwt.decode(each.access_token, options={"verify_signature": False}) for each in (first, second))
    assert before["session_id"] == after["session_id"]
    assert before["amr"] == after["amr"]


async def test_all_who_refresh_one_token_at_once_get_the_same_next_one(api: Any) -> None:
    await create_ada(api)
    ada = await sign_in(api)
    session = await ada.auth.get_session()
    assert session is not None
    others = [await api.client() for _ in range(10)]
    answers = await asyncio.gather(*(other.auth.refresh_session(session.refresh_token) for other in others))
    tokens = {answer.session.refresh_token for answer in answers if answer.session}
    assert len(tokens) == 1
    assert tokens != {session.refresh_token}


async def test_a_token_used_long_after_its_successors_ends_the_family_and_the_end_is_kept(serve_api: Any) -> None:
    async with serve_api(refresh_token_reuse_interval=0) as api:
        await create_ada(api)
        ada = await sign_in(api)
        stolen = await ada.auth.get_session()
        assert stolen is not None
        await ada.auth.refresh_session()
        current = (await ada.auth.refresh_session()).session
        assert current is not None
        thief = await api.client()
        assert await refusal(thief.auth.refresh_session(stolen.refresh_token)) == (400, "refresh_token_already_used")
        assert await refusal(thief.auth.refresh_session(current.refresh_token)) == (400, "refresh_token_already_used")


async def test_signing_out_ends_the_session_here_or_everywhere_else(api: Any) -> None:
    await create_ada(api)
    here, there = await sign_in(api), await sign_in(api)
    token = (await here.auth.get_session()).access_token  # type: ignore[union-attr]
    elsewhere = (await there.auth.get_session()).access_token  # type: ignore[union-attr]
    await here.auth.sign_out({"scope": "others"})
    reader = await api.client()
    assert await refusal(reader.auth.get_user(elsewhere)) == (403, "session_not_found")
    assert await reader.auth.get_user(token) is not None
    await here.auth.sign_out({"scope": "local"})
    assert await refusal(reader.auth.get_user(token)) == (403, "session_not_found")


async def test_wrong_passwords_and_unknown_users_are_refused_alike(api: Any) -> None:
    await create_ada(api)
    stranger = await api.client()
    wrong = [
        {"email": EMAIL, "password": "wrong"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": EMAIL, "password": PASSWORD + "x" * 72},
    ]
    for credentials in wrong:
        call = stranger.auth.sign_in_with_password(credentials)  # type: ignore[arg-type]
        assert await refusal(call) == (400, "invalid_credentials")


async def test_an_administrator_lists_changes_bans_and_deletes(api: Any) -> None:
    ada = await create_ada(api, app_metadata={"role": "operator", "team": "a"})
    admin = (await api.client(api.secrets.service_role_key)).auth.admin
    assert [user.id for user in await admin.list_users()] == [ada.id]
    changed = (await admin.update_user_by_id(ada.id, {"app_metadata": {"team": None, "level": 2}})).user
    assert changed.app_metadata == {"provider": "email", "providers": ["email"], "role": "operator", "level": 2}
    await admin.update_user_by_id(ada.id, {"ban_duration": "24h"})
    assert await refusal(sign_in(api)) == (400, "user_banned")
    await admin.update_user_by_id(ada.id, {"ban_duration": "none"})
    session = await sign_in(api)
    assert await refusal(create_ada(api)) == (422, "email_exists")
    await admin.delete_user(ada.id)
    assert await refusal(session.auth.get_user()) == (403, "user_not_found")
    assert await refusal(admin.get_user_by_id(ada.id)) == (404, "user_not_found")
    assert await refusal(admin.delete_user(ada.id)) == (404, "user_not_found")


async def test_only_the_service_role_is_an_administrator(api: Any) -> None:
    ada = await create_ada(api)
    signed_in = await sign_in(api)
    for caller in (await api.client(), signed_in):
        assert await refusal(caller.auth.admin.list_users()) == (403, "not_admin")
        assert await refusal(caller.auth.admin.delete_user(ada.id)) == (403, "not_admin")


async def test_a_user_changes_data_and_password_and_other_sessions_end(api: Any) -> None:
    await create_ada(api)
    here, there = await sign_in(api), await sign_in(api)
    await here.auth.update_user({"data": {"name": "Countess"}, "password": "another fine phrase"})
    found = await here.auth.get_user()
    assert found is not None
    assert found.user.user_metadata == {"name": "Countess"}
    assert await refusal(there.auth.get_user()) == (403, "session_not_found")
    assert await refusal(sign_in(api)) == (400, "invalid_credentials")
    assert await refusal(here.auth.update_user({"password": "another fine phrase"})) == (422, "same_password")


async def test_sign_up_is_confirmed_at_once_where_it_is_on(api: Any) -> None:
    stranger = await api.client()
    answer = await stranger.auth.sign_up({"email": EMAIL, "password": PASSWORD, "options": {"data": {"name": "Ada"}}})
    assert answer.session is not None
    assert answer.user is not None
    assert answer.user.user_metadata == {"name": "Ada"}
    again = stranger.auth.sign_up({"email": EMAIL, "password": PASSWORD})
    assert await refusal(again) == (422, "user_already_exists")
    with pytest.raises(Exception, match="at least 6") as weak:
        await stranger.auth.sign_up({"email": "b@example.com", "password": "short"})
    assert weak.value.reasons == ["length"]
    assert await refusal(stranger.auth.sign_in_anonymously()) == (422, "anonymous_provider_disabled")


async def test_sign_up_is_refused_where_it_is_off(serve_api: Any) -> None:
    async with serve_api(enable_signup=False) as api:
        stranger = await api.client()
        assert await refusal(stranger.auth.sign_up({"email": EMAIL, "password": PASSWORD})) == (422, "signup_disabled")


async def test_an_anonymous_user_becomes_a_known_one(serve_api: Any) -> None:
    async with serve_api(enable_anonymous_sign_ins=True) as api:
        visitor = await api.client()
        answer = await visitor.auth.sign_in_anonymously({"options": {"data": {"colour": "red"}}})
        assert answer.user is not None
        assert answer.user.is_anonymous
        assert answer.user.app_metadata == {}
        assert answer.user.identities == []
        known = (await visitor.auth.update_user({"email": EMAIL, "password": PASSWORD})).user
        assert known.id == answer.user.id
        assert known.is_anonymous is False
        again = await sign_in(api)
        found = await again.auth.get_user()
        assert found is not None
        assert (found.user.id, found.user.user_metadata) == (known.id, {"colour": "red"})


async def test_the_synchronous_client_works_alike(api: Any) -> None:
    await create_ada(api)

    def story() -> tuple[str, str]:
        with httpx.Client() as http:
            options = ClientOptions(auto_refresh_token=False, httpx_client=http)
            sync: Client = create_client(api.url, api.secrets.anon_key, options)
            sync.auth.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
            sync.auth.refresh_session()
            user = sync.auth.get_user()
            claims = sync.auth.get_claims()
            sync.auth.sign_out()
        assert user is not None
        assert claims is not None
        return user.user.email or "", claims["claims"]["email"]

    assert await to_thread.run_sync(story) == ("ada@example.com", "ada@example.com")


async def test_a_refresh_while_the_database_is_away_can_be_tried_again(serve_api: Any, endpoint: Any) -> None:
    admin = await asyncpg.connect(replace(endpoint, database="postgres").dsn(Login.ADMIN))
    async with serve_api() as api:
        await create_ada(api)
        ada = await sign_in(api)
        await admin.execute(f'alter database "{endpoint.database}" allow_connections false')
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", endpoint.database
        )
        session = await ada.auth.get_session()
        assert session is not None
        with pytest.raises(AuthRetryableError):
            await (await api.client()).auth.refresh_session(session.refresh_token)
        await admin.execute(f'alter database "{endpoint.database}" allow_connections true')
        answer = await (await api.client()).auth.refresh_session(session.refresh_token)
        assert answer.session is not None
    await admin.close()
