"""Who is asking: the `Authorization` header becomes a role and claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from minibase.keys import Keyring, TokenError
from minibase.rest.errors import RestError, refuse

ANONYMOUS: Final = "anon"
_CLAIM_FAULTS: Final = frozenset({"expired", "not_yet", "claims"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`claims` is the JSON that policies read from `request.jwt.claims`."""

    role: str
    claims: bytes

    @property
    def anonymous(self) -> bool:
        return self.role == ANONYMOUS


def identify(keyring: Keyring, authorization: str | None) -> Identity:
    """The caller's identity; without a header, the anonymous role.

    Raises RestError PGRST301 for a token that cannot be verified, PGRST303 for one whose claims forbid its use.
    """
    if authorization is None:
        return Identity(role=ANONYMOUS, claims=orjson.dumps({"role": ANONYMOUS}))
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _untrusted("PGRST301", "The Authorization header must be 'Bearer' and a token")
    try:
        claims = keyring.verify(token.strip())
    except TokenError as error:
        code = "PGRST303" if error.reason in _CLAIM_FAULTS else "PGRST301"
        raise _untrusted(code, "JWT expired" if error.reason == "expired" else str(error)) from error
    role = claims.get("role", ANONYMOUS)
    if not isinstance(role, str):
        raise _untrusted("PGRST303", "The role claim must be a text")
    return Identity(role=role, claims=orjson.dumps({**claims, "role": role}))


def _untrusted(code: str, message: str) -> RestError:
    shown = message.replace("\\", " ").replace('"', "'")
    challenge = f'Bearer error="invalid_token", error_description="{shown}"'
    return refuse(401, code, message, headers={"WWW-Authenticate": challenge})
