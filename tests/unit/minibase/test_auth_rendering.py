"""A user, a session and a token as the clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from minibase.auth.tokens import access_claims, render_session
from minibase.auth.users import UserRecord, render_user, split_patch

ID = "5b0d0f5e-2f3d-4d67-9a76-7a86a1a5ac10"
MADE = "2026-01-02T03:04:05.678901+00:00"
EMPTY_COLUMNS = (
    "phone",
    "confirmed_at",
    "email_confirmed_at",
    "last_sign_in_at",
    "invited_at",
    "confirmation_sent_at",
    "recovery_sent_at",
    "banned_until",
    "deleted_at",
)


def user(**columns: Any) -> UserRecord:
    row = dict.fromkeys(EMPTY_COLUMNS) | {
        "id": ID,
        "aud": "authenticated",
        "role": "authenticated",
        "email": "ada@example.com",
        "encrypted_password": "$2a$10$secret",
        "confirmation_token": "secret",
        "recovery_token": "secret",
        "raw_app_meta_data": {"provider": "email", "providers": ["email"]},
        "raw_user_meta_data": {"name": "Ada"},
        "is_super_admin": None,
        "created_at": MADE,
        "updated_at": MADE,
        "is_anonymous": False,
    }
    identity = {
        "id": "11111111-1111-4111-8111-111111111111",
        "provider_id": ID,
        "user_id": ID,
        "identity_data": {"sub": ID, "email": "ada@example.com"},
        "provider": "email",
        "last_sign_in_at": None,
        "created_at": MADE,
        "updated_at": MADE,
        "email": "ada@example.com",
    }
    return UserRecord(row={**row, **columns}, identities=[identity])


def test_a_user_shows_what_clients_know_and_no_secret() -> None:
    shown = render_user(user(confirmed_at=MADE))
    assert "secret" not in str(shown)
    assert "secret" not in repr(user())
    assert shown["created_at"] == "2026-01-02T03:04:05.678901Z"
    assert shown["confirmed_at"] == "2026-01-02T03:04:05.678901Z"
    assert shown["phone"] == ""
    assert "banned_until" not in shown
    assert shown["identities"][0]["identity_id"] == "11111111-1111-4111-8111-111111111111"
    assert shown["identities"][0]["id"] == ID


def test_empty_columns_are_what_clients_expect() -> None:
    shown = render_user(user(email=None, aud=None, role="", raw_app_meta_data=None, raw_user_meta_data=None))
    assert (shown["email"], shown["aud"], shown["role"]) == ("", "authenticated", "authenticated")
    assert (shown["app_metadata"], shown["user_metadata"]) == ({}, {})


def test_a_ban_ends() -> None:
    banned = user(banned_until=MADE)
    assert banned.is_banned(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert not banned.is_banned(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))
    assert not user().is_banned(datetime(2026, 1, 1, tzinfo=UTC))


def test_an_access_token_carries_what_policies_read() -> None:
    amr = [{"method": "password", "timestamp": 90}]
    claims = access_claims(user(), session_id="s", amr=amr, issuer="http://127.0.0.1:1/auth/v1", now=100, life=60)
    assert claims == {
        "iss": "http://127.0.0.1:1/auth/v1",
        "sub": ID,
        "aud": "authenticated",
        "exp": 160,
        "iat": 100,
        "email": "ada@example.com",
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": {"name": "Ada"},
        "role": "authenticated",
        "aal": "aal1",
        "amr": amr,
        "session_id": "s",
        "is_anonymous": False,
    }


def test_a_session_says_when_it_ends() -> None:
    session = render_session(user(), access_token="a", refresh_token="r", now=100, life=60)
    assert session.pop("user") == render_user(user())
    assert session == {
        "access_token": "a",
        "token_type": "bearer",
        "expires_in": 60,
        "expires_at": 160,
        "refresh_token": "r",
    }


def test_null_removes_a_key_of_metadata_at_the_top_only() -> None:
    assert split_patch({"a": 1, "b": None, "c": {"d": None}}) == ({"a": 1, "c": {"d": None}}, ["b"])
    assert split_patch(None) == ({}, [])
