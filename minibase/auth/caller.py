"""Who is calling: the bearer token of a request as checked claims."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from minibase.auth.errors import AuthError, bad_jwt
from minibase.auth.store import AuthStore
from minibase.auth.users import UserRecord
from minibase.keys import Keyring, TokenError

ADMIN_ROLES = ("service_role", "supabase_admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A signed-in user and the session the token belongs to (None where a token was made elsewhere)."""

    user: UserRecord
    session_id: uuid.UUID | None

    @property
    def user_id(self) -> uuid.UUID:
        return uuid.UUID(self.user.id)


def bearer_claims(request: Request, keyring: Keyring) -> dict[str, Any]:
    """The claims of the request's token. Raises AuthError where it is absent or not to be trusted."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        return keyring.verify(token.strip(), leeway=0)
    except TokenError as error:
        raise bad_jwt(str(error)) from error


def require_admin(request: Request, keyring: Keyring) -> None:
    """Raises AuthError unless the request carries the service role's token."""
    if bearer_claims(request, keyring).get("role") not in ADMIN_ROLES:
        raise AuthError(403, "not_admin", "User not allowed")


async def require_user(request: Request, keyring: Keyring, store: AuthStore) -> Caller:
    """The user the token speaks for. Raises AuthError where user or session are gone, or the user is banned."""
    claims = bearer_claims(request, keyring)
    session_id = _uuid_claim(claims, "session_id")
    user_id = _uuid_claim(claims, "sub")
    if user_id is None:
        raise bad_jwt("missing sub claim; sign in first, an API key is not a user")
    user, session_stands = await store.find_by_token(user_id, session_id)
    if user is None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    if not session_stands:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    if user.is_banned(datetime.now(UTC)):
        raise AuthError(403, "user_banned", "User is banned")
    return Caller(user=user, session_id=session_id)


def _uuid_claim(claims: Mapping[str, Any], name: str) -> uuid.UUID | None:
    value = claims.get(name)
    if value is None or value == "":
        return None
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise bad_jwt(f"{name} claim must be a UUID") from error
