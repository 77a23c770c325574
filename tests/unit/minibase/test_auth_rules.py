"""The pure rules of the Auth API: refresh, errors, bodies, passwords, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from minibase.auth import passwords
from minibase.auth.admin import page_links
from minibase.auth.attempts import AttemptLimit
from minibase.auth.bodies import AdminUser, SignUp, normal_email, parse_ban, parse_body, parse_user_id
from minibase.auth.errors import AuthError, render_error
from minibase.auth.passwords import check_new_password, check_password_hash
from minibase.auth.tokens import Refuse, Repeat, ReuseRules, RevokeFamily, Rotate, StoredToken, judge_refresh

GOOD_HASH = "$2a$10$" + "a" * 53


def stored(token: str, *, revoked: bool = True, parent: str | None = None, age: float = 3600) -> StoredToken:
    return StoredToken(token=token, parent=parent, revoked=revoked, age=age)


@pytest.mark.parametrize(
    ("presented", "active", "outcome"),
    [
        (stored("a", revoked=False), stored("a", revoked=False), Rotate()),
        (stored("a"), stored("b", revoked=False, parent="a"), Repeat("b")),
        (stored("a", age=9), stored("c", revoked=False, parent="b"), Repeat("c")),
        (stored("a", age=10), stored("c", revoked=False, parent="b"), RevokeFamily()),
        (stored("a", age=1), None, RevokeFamily()),
    ],
    ids=["current", "answer was lost", "within the interval", "long ago", "family already ended"],
)
def test_what_becomes_of_a_refresh_token(presented: StoredToken, active: StoredToken | None, outcome: object) -> None:
    assert judge_refresh(presented, active, ReuseRules(interval=10, ends_family=True)) == outcome


def test_without_rotation_an_old_token_is_refused_and_the_session_lives() -> None:
    active = stored("c", revoked=False, parent="b")
    assert judge_refresh(stored("a"), active, ReuseRules(interval=10, ends_family=False)) == Refuse()


WEAK = AuthError(422, "weak_password", "Too short.", weak_password={"reasons": ["length"]})


@pytest.mark.parametrize("version", [None, "", "2023-12-31", "yesterday", "2024-13-01"])
def test_errors_for_clients_of_old(version: str | None) -> None:
    rendered = render_error(WEAK, version)
    assert rendered.status == 422
    assert rendered.body == {
        "code": 422,
        "error_code": "weak_password",
        "msg": "Too short.",
        "weak_password": {"reasons": ["length"]},
    }
    assert rendered.headers == {"x-sb-error-code": "weak_password"}


@pytest.mark.parametrize("version", ["2024-01-01", "2025-06-30"])
def test_errors_for_clients_that_name_a_version(version: str) -> None:
    rendered = render_error(WEAK, version)
    assert rendered.body == {
        "code": "weak_password",
        "message": "Too short.",
        "weak_password": {"reasons": ["length"]},
    }
    assert rendered.headers == {"x-sb-error-code": "weak_password", "x-supabase-api-version": version}


@pytest.mark.parametrize(
    ("raw", "code", "says"),
    [
        (b"{", "bad_json", "JSON"),
        (b"[]", "bad_json", "object"),
        (b"\xff", "bad_json", "JSON"),
        (b"[" * 5000, "bad_json", "JSON"),
        (b'{"email": 1}', "validation_failed", "email"),
        (b'{"password": ["x"]}', "validation_failed", "password"),
        (b'{"data": []}', "validation_failed", "data"),
        (b'{"data": {"a": ["b\\u0000"]}}', "validation_failed", "U+0000"),
        (b'{"data": {"\\u0000": 1}}', "validation_failed", "U+0000"),
        (b'{"email": "nobody"}', "validation_failed", "Unable to validate email address"),
    ],
)
def test_bodies_that_are_refused(raw: bytes, code: str, says: str) -> None:
    with pytest.raises(AuthError) as refused:
        parse_body(SignUp, raw)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert says in refused.value.message


def test_a_body_keeps_what_is_known_and_ignores_the_rest() -> None:
    body = parse_body(SignUp, b'{"email": " Ada@Example.com", "role": "service_role", "data": {"n": "\\\\u0000"}}')
    assert body == SignUp(email="ada@example.com", data={"n": "\\u0000"})
    assert parse_body(AdminUser, b"") == AdminUser()


@pytest.mark.parametrize(
    "address",
    ["a@b@c", "@b.c", "a@", "a b@c.d", "a@-b.c", "a@b..c", "a@b.c\n.d", f"{'a' * 251}@b.cd", "ä@b.c", "a@b.c,d@e.f"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="Unable to validate"):
        normal_email(address)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("24h", timedelta(hours=24)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5s", timedelta(seconds=1.5)),
        ("876000h", timedelta(hours=876_000)),
        ("none", None),
    ],
)
def test_bans_as_go_writes_durations(text: str, length: timedelta | None) -> None:
    assert parse_ban(text) == length


@pytest.mark.parametrize("text", ["", "1", "-1h", "1 h", "h", "1d", "9999999h", "1" * 400 + "h"])
def test_bans_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ban duration"):
        parse_ban(text)


def test_user_ids_are_uuids() -> None:
    with pytest.raises(AuthError, match="UUID"):
        parse_user_id("1; drop table users")


@pytest.mark.parametrize(
    ("password", "code"),
    [("short", "weak_password"), ("é" * 37, "validation_failed"), ("x" * 73, "validation_failed")],
)
def test_passwords_that_are_refused(password: str, code: str) -> None:
    with pytest.raises(AuthError) as refused:
        check_new_password(password, minimum_length=6)
    assert refused.value.code == code


def test_passwords_are_counted_in_characters_and_bounded_in_bytes() -> None:
    check_new_password("é" * 36, minimum_length=36)


@pytest.mark.parametrize(
    "stored_hash", ["", "plain", "$argon2id$v=19$x", "$2a$31$" + "a" * 53, GOOD_HASH + "a", GOOD_HASH + "\n"]
)
def test_hashes_that_cannot_be_checked_are_refused(stored_hash: str) -> None:
    with pytest.raises(AuthError, match="bcrypt"):
        check_password_hash(stored_hash)


def test_the_hash_burnt_for_unknown_users_costs_as_much_as_a_real_one() -> None:
    check_password_hash(GOOD_HASH)
    check_password_hash(passwords._NOBODYS_HASH)
    assert passwords._NOBODYS_HASH.startswith(f"$2a${passwords.COST}$")


def test_page_links_name_the_next_and_the_last_page() -> None:
    assert page_links(page=1, size=50, total=120) == (
        '</admin/users?page=2&per_page=50>; rel="next", </admin/users?page=3&per_page=50>; rel="last"'
    )
    assert page_links(page=3, size=50, total=120) == '</admin/users?page=3&per_page=50>; rel="last"'
    assert page_links(page=1, size=50, total=0) == '</admin/users?page=1&per_page=50>; rel="last"'


def test_an_address_that_failed_too_often_waits_and_others_do_not() -> None:
    limit = AttemptLimit(burst=3, period=30)
    for _ in range(3):
        assert limit.allows("a", 0)
        limit.charge("a", 0)
    assert not limit.allows("a", 9)
    assert limit.allows("b", 9)
    assert limit.allows("a", 10)


def test_the_limit_remembers_a_bounded_number_of_addresses() -> None:
    limit = AttemptLimit(burst=1, period=1, addresses=2)
    for address in ("a", "b", "c"):
        limit.charge(address, 0)
    remembered: Any = [address for address in ("a", "b", "c") if not limit.allows(address, 0)]
    assert remembered == ["b", "c"]
