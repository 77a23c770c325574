"""The project's secrets, and the one place that signs and verifies tokens.

Two families of keys, as on hosted Supabase: a shared secret (HS256) behind the legacy `anon` and `service_role` keys,
and an ES256 pair behind users' access tokens. The opaque `sb_publishable_` / `sb_secret_` keys stand for the two
legacy tokens and are never tokens themselves.
"""

from __future__ import annotations

import base64
import hmac
import json
import math
import re
import secrets as randomness
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, HMACAlgorithm

LOGIN_ROLES = ("supabase_admin", "postgres", "authenticator", "supabase_auth_admin")
API_KEY_ROLES = ("anon", "service_role")
PUBLISHABLE_PREFIX = "sb_publishable_"
SECRET_PREFIX = "sb_secret_"
API_KEY_LIFE_SECONDS = 10 * 365 * 24 * 3600
MINIMUM_SECRET_BYTES = 32  # RFC 7518 3.2: an HS256 key is at least as long as the hash
MAXIMUM_TOKEN_LENGTH = 16_384  # longer than any header an HTTP server takes
CACHED_TOKENS = 1_024

TokenFault = Literal["malformed", "signature", "expired", "not_yet", "claims", "algorithm"]

_COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TokenError(Exception):
    """A token that must not be trusted; `reason` is for programs, the text is a sentence for people."""

    def __init__(self, reason: TokenFault, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: TokenFault = reason


class SecretsError(ValueError):
    """Stored secrets that cannot be used; the text says which field and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Everything that is secret in one project. Made once, at first start; never printed by `repr`."""

    jwt_secret: str = field(repr=False)
    signing_jwk: dict[str, Any] = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    anon_key: str = field(repr=False)
    service_role_key: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)

    @staticmethod
    def generate() -> Secrets:
        """Fresh secrets from the system's random source; the two legacy keys are valid for ten years from now."""
        jwt_secret = randomness.token_urlsafe(48)
        now = int(time.time())
        return Secrets(
            jwt_secret=jwt_secret,
            signing_jwk=_generate_signing_jwk(),
            publishable_key=_generate_api_key(PUBLISHABLE_PREFIX),
            secret_key=_generate_api_key(SECRET_PREFIX),
            anon_key=_sign_api_key("anon", jwt_secret, now),
            service_role_key=_sign_api_key("service_role", jwt_secret, now),
            passwords={role: randomness.token_urlsafe(24) for role in LOGIN_ROLES},
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Secrets:
        """Read what `to_json` wrote. Raises SecretsError on anything else."""
        try:
            stored = json.loads(text)
        except ValueError as error:
            raise SecretsError(f"The stored secrets are not JSON ({error}); restore the file from a backup.") from error
        if not isinstance(stored, dict):
            raise SecretsError("The stored secrets are not a JSON object; restore the file from a backup.")
        for name in (each.name for each in fields(Secrets)):
            expected = dict if name in ("signing_jwk", "passwords") else str
            if not isinstance(stored.get(name), expected):
                raise SecretsError(f"The stored secrets have no usable field {name!r}; restore the file from a backup.")
        found = Secrets(**{each.name: stored[each.name] for each in fields(Secrets)})
        Keyring(found)
        return found


def _generate_signing_jwk() -> dict[str, Any]:
    pair = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    return {**pair, "alg": "ES256", "use": "sig", "key_ops": ["sign", "verify"], "ext": True, "kid": str(uuid.uuid4())}


def _generate_api_key(prefix: str) -> str:
    return f"{prefix}{randomness.token_urlsafe(16)}_{randomness.token_urlsafe(6)}"


def _sign_api_key(role: str, jwt_secret: str, now: int) -> str:
    claims = {"iss": "minibase", "role": role, "iat": now, "exp": now + API_KEY_LIFE_SECONDS}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")


class Keyring:
    """Signs and verifies with one project's secrets. Safe to share: its only state is a bounded cache."""

    def __init__(self, secrets: Secrets) -> None:
        """Raises SecretsError where the shared secret is too short or the signing key no P-256 pair with a kid."""
        if len(secrets.jwt_secret.encode()) < MINIMUM_SECRET_BYTES:
            raise SecretsError(f"jwt_secret is shorter than {MINIMUM_SECRET_BYTES} bytes; use a longer one.")
        self._secrets = secrets
        self._private_key = _private_key(secrets.signing_jwk)
        self._public_key = self._private_key.public_key()
        self._kid = str(secrets.signing_jwk["kid"])
        self._shared_secret = secrets.jwt_secret.encode()
        self._hs256 = HMACAlgorithm(HMACAlgorithm.SHA256)
        self._es256 = ECAlgorithm(ECAlgorithm.SHA256, ec.SECP256R1)
        self._verified: dict[str, bytes] = {}

    def verify(self, token: str, *, leeway: float = 30) -> dict[str, Any]:
        """The claims of a token signed by this project and valid now, give or take `leeway` seconds.

        Algorithms are HS256 and ES256 and nothing else. The key is chosen by `kid`, and its own type must fit the
        algorithm; keys offered by the header itself are never looked at (RFC 8725 3.1, 3.2). Raises TokenError.
        """
        payload = self._verified.get(token)
        if payload is None:
            payload = self._verify_signature(token)
            self._remember(token, payload)
        claims = _decode_object(payload, "payload")
        _check_times(claims, now=time.time(), leeway=leeway)
        return claims

    def token_for_api_key(self, key: str) -> str | None:
        """The token an API key stands for; a valid legacy key stands for itself; None for any other string."""
        offered = key.encode("utf-8", "surrogateescape")
        is_publishable = hmac.compare_digest(offered, self._secrets.publishable_key.encode())
        is_secret = hmac.compare_digest(offered, self._secrets.secret_key.encode())
        if is_publishable:
            return self._secrets.anon_key
        if is_secret:
            return self._secrets.service_role_key
        try:
            claims = self.verify(key)
        except TokenError:
            return None
        return key if claims.get("role") in API_KEY_ROLES else None

    def sign_access_token(self, claims: Mapping[str, Any]) -> str:
        """An ES256 token whose header names the key, so that clients can verify it against `jwks()`."""
        return jwt.encode(dict(claims), self._private_key, algorithm="ES256", headers={"kid": self._kid})

    def jwks(self) -> dict[str, Any]:
        """The public half of the signing key as a JWK set (RFC 7517 5). The shared secret is never part of it."""
        public = {name: self._secrets.signing_jwk[name] for name in ("kty", "crv", "x", "y", "kid")}
        return {"keys": [{**public, "alg": "ES256", "use": "sig", "key_ops": ["verify"], "ext": True}]}

    def _verify_signature(self, token: str) -> bytes:
        if len(token) > MAXIMUM_TOKEN_LENGTH or not _COMPACT_FORM.fullmatch(token):
            raise TokenError("malformed", "The token is not three base64url parts joined by dots.")
        signed, _, signature_part = token.rpartition(".")
        header_part, _, payload_part = signed.partition(".")
        header = _decode_object(_decode_part(header_part, "header"), "header")
        if not self._signature_fits(header, signed.encode(), _decode_part(signature_part, "signature")):
            raise TokenError("signature", "The token was not signed by this project.")
        return _decode_part(payload_part, "payload")

    def _signature_fits(self, header: Mapping[str, Any], signed: bytes, signature: bytes) -> bool:
        if "crit" in header:
            raise TokenError("algorithm", "The token's header demands extensions (crit) that are not supported.")
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and kid != self._kid:
            return self._hs256.verify(signed, self._shared_secret, signature)
        if algorithm == "ES256" and kid == self._kid:
            return self._es256.verify(signed, self._public_key, signature)
        if algorithm == "ES256":
            raise TokenError("signature", f"The token names a signing key this project does not have: {_shown(kid)}.")
        raise TokenError("algorithm", f"The token's algorithm {_shown(algorithm)} is not accepted for its key.")

    def _remember(self, token: str, payload: bytes) -> None:
        if len(self._verified) >= CACHED_TOKENS:
            self._verified.pop(next(iter(self._verified)), None)
        self._verified[token] = payload


def _private_key(jwk: Mapping[str, Any]) -> ec.EllipticCurvePrivateKey:
    if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        raise SecretsError("signing_jwk has no kid; restore the file from a backup.")
    try:
        key = ECAlgorithm.from_jwk(dict(jwk))
    except (jwt.InvalidKeyError, ValueError) as error:
        raise SecretsError(f"signing_jwk is not an elliptic-curve key ({error}).") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SecretsError("signing_jwk is not a private P-256 key; ES256 needs one.")
    return key


def _decode_part(part: str, name: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise TokenError("malformed", f"The token's {name} is not base64url.") from error


def _decode_object(text: bytes, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise TokenError("malformed", f"The token's {name} is not JSON.") from error
    if not isinstance(value, dict):
        raise TokenError("malformed", f"The token's {name} is not a JSON object.")
    return cast("dict[str, Any]", value)


def _check_times(claims: Mapping[str, Any], *, now: float, leeway: float) -> None:
    expires = _time_claim(claims, "exp")
    if expires is not None and now >= expires + leeway:
        raise TokenError("expired", "The token has expired.")
    not_before = _time_claim(claims, "nbf")
    if not_before is not None and now < not_before - leeway:
        raise TokenError("not_yet", "The token is not valid yet (nbf).")
    issued = _time_claim(claims, "iat")
    if issued is not None and now < issued - leeway:
        raise TokenError("not_yet", "The token was issued in the future (iat).")


def _time_claim(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenError("claims", f"The token's {name} claim is not a number of seconds.")
    return float(value)


def _shown(value: object) -> str:
    """A header value as it may appear in a sentence: short, and quoted so that it cannot pass for our own words."""
    return repr(value)[:40]
