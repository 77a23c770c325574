"""What an access token says, and what becomes of a refresh token that is presented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minibase.auth.users import UserRecord, render_user


def access_claims(
    user: UserRecord, *, session_id: str, amr: Sequence[Mapping[str, Any]], issuer: str, now: int, life: int
) -> dict[str, Any]:
    """The claims of a user's access token, as GoTrue names them; `amr` lists the latest method first."""
    shown = render_user(user)
    return {
        "iss": issuer,
        "sub": user.id,
        "aud": shown["aud"],
        "exp": now + life,
        "iat": now,
        "email": shown["email"],
        "phone": shown["phone"],
        "app_metadata": shown["app_metadata"],
        "user_metadata": shown["user_metadata"],
        "role": shown["role"],
        "aal": "aal1",
        "amr": list(amr),
        "session_id": session_id,
        "is_anonymous": user.is_anonymous,
    }


def render_session(user: UserRecord, *, access_token: str, refresh_token: str, now: int, life: int) -> dict[str, Any]:
    """The session object of the Auth API."""
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": life,
        "expires_at": now + life,
        "refresh_token": refresh_token,
        "user": render_user(user),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A row of auth.refresh_tokens; `age` is the number of seconds since it was made or revoked."""

    token: str = field(repr=False)
    parent: str | None = field(repr=False)
    revoked: bool
    age: float


@dataclass(frozen=True, slots=True)
class Rotate:
    """Revoke the presented token and give out a child of it."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Give out the active token again: an earlier answer was lost, or several asked at once."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RevokeFamily:
    """Two parties hold the token: end every token of the session."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The same, in a project that has rotation off: refuse the old token and leave the session be."""


Outcome = Rotate | Repeat | RevokeFamily | Refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseRules:
    """A project's settings for spent refresh tokens: for how long one is good, and whether a later use ends all."""

    interval: float
    ends_family: bool


def judge_refresh(presented: StoredToken, active: StoredToken | None, rules: ReuseRules) -> Outcome:
    """What to do with a refresh token, given its session's active one. The session must be locked meanwhile.

    GoTrue's rules, but for one: inside the reuse interval it forks a second active token, here the one active token is
    given out, so that all who refresh at once agree and a session never has two.
    """
    if not presented.revoked:
        return Rotate()
    if active is not None and (active.parent == presented.token or presented.age < rules.interval):
        return Repeat(active.token)
    return RevokeFamily() if rules.ends_family else Refuse()
