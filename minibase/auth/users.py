"""A user as the clients see one: rows of auth.users and auth.identities in, the API's JSON out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SHOWN_WHEN_SET = (
    "email_confirmed_at",
    "confirmed_at",
    "last_sign_in_at",
    "invited_at",
    "confirmation_sent_at",
    "recovery_sent_at",
    "banned_until",
    "deleted_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """One row of auth.users as JSON, with the rows of its identities. Holds the password hash; never sent as it is."""

    row: Mapping[str, Any] = field(repr=False)
    identities: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def password_hash(self) -> str | None:
        return self.row["encrypted_password"] or None

    @property
    def is_confirmed(self) -> bool:
        return self.row["confirmed_at"] is not None

    @property
    def is_anonymous(self) -> bool:
        return bool(self.row["is_anonymous"])

    def is_banned(self, now: datetime) -> bool:
        until = self.row["banned_until"]
        return until is not None and datetime.fromisoformat(until) > now


def render_user(user: UserRecord) -> dict[str, Any]:
    """The user object of the Auth API: nothing that is not listed here leaves the table."""
    row = user.row
    return {
        "id": user.id,
        "aud": row["aud"] or "authenticated",
        "role": row["role"] or "authenticated",
        "email": row["email"] or "",
        "phone": row["phone"] or "",
        "app_metadata": row["raw_app_meta_data"] or {},
        "user_metadata": row["raw_user_meta_data"] or {},
        "identities": [_render_identity(identity) for identity in user.identities],
        "created_at": _zulu(row["created_at"]),
        "updated_at": _zulu(row["updated_at"]),
        "is_anonymous": user.is_anonymous,
        **{name: _zulu(row[name]) for name in SHOWN_WHEN_SET if row[name] is not None},
    }


def _render_identity(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "identity_id": row["id"],
        "id": row["provider_id"],
        "user_id": row["user_id"],
        "identity_data": row["identity_data"],
        "provider": row["provider"],
        "last_sign_in_at": _zulu(row["last_sign_in_at"]),
        "created_at": _zulu(row["created_at"]),
        "updated_at": _zulu(row["updated_at"]),
        "email": row["email"] or "",
    }


def split_patch(patch: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """A change of metadata as what to set and which keys to remove: null removes, and only at the top level."""
    given = patch or {}
    return {key: value for key, value in given.items() if value is not None}, [
        key for key, value in given.items() if value is None
    ]


def _zulu(value: str | None) -> str | None:
    """Postgres writes UTC as +00:00; GoTrue writes Z, and some clients compare texts."""
    return value.removesuffix("+00:00") + "Z" if value and value.endswith("+00:00") else value
