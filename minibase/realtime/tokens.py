"""What a token says, and the words in which an unusable one is refused.

Source: the refusals of the Realtime service, which clients show to people and match by their prefix.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

REQUIRED = "Fields `role` and `exp` are required in JWT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """A verified token. `text` is the whole claims object as JSON with sorted keys, for `request.jwt.claims`."""

    role: str
    expires_at: float
    text: str


class RefusedTokenError(Exception):
    """A token nobody is let in with. `code` prefixes the reason of a refused join; `text` is the sentence."""

    def __init__(self, *, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


Verify = Callable[[str], Claims]

_REFUSALS = {
    "malformed": ("MalformedJWT", "The token provided is not a valid JWT"),
    "signature": ("JwtSignatureError", "Failed to validate JWT signature"),
    "algorithm": ("JwtSignerError", "Failed to generate JWT signer, check the token's algorithm and key id"),
    "claims": ("InvalidJWTToken", REQUIRED),
    "not_yet": ("InvalidJWTToken", "Token is not valid yet"),
}


def refusal(reason: str, token: str, now: float) -> RefusedTokenError:
    """The refusal for a keyring's reason; an expired token is told for how long it has been so."""
    if reason == "expired":
        return RefusedTokenError(code="InvalidJWTToken", text=expired(_claimed_expiry(token), now))
    code, text = _REFUSALS[reason]
    return RefusedTokenError(code=code, text=text)


def expired(expires_at: float | None, now: float) -> str:
    if expires_at is None:
        return "Token has expired"
    return f"Token has expired {max(0, int(now - expires_at))} seconds ago"


def parse_claims(claims: Mapping[str, Any]) -> Claims:
    """The part of verified claims that channels live by; RefusedTokenError without a role or an expiry."""
    role, expires_at = claims.get("role"), claims.get("exp")
    is_time = isinstance(expires_at, int | float) and not isinstance(expires_at, bool)
    if not isinstance(role, str) or not role or not is_time:
        raise RefusedTokenError(code="InvalidJWTToken", text=REQUIRED)
    assert expires_at is not None
    text = orjson.dumps(dict(claims), option=orjson.OPT_SORT_KEYS).decode()
    return Claims(role=role, expires_at=float(expires_at), text=text)


def _claimed_expiry(token: str) -> float | None:
    """The expiry a token claims for itself: only for the wording of its refusal, never to trust it."""
    try:
        body = token.split(".")[1]
        value = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(value["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None
