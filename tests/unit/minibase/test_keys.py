"""Secrets of a project, and which tokens its keyring trusts."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from minibase import keys
from minibase.keys import Keyring, Secrets, SecretsError, TokenError

SECRETS = Secrets.generate()
KID = SECRETS.signing_jwk["kid"]


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(SECRETS)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(claims: dict[str, Any], *, secret: str = SECRETS.jwt_secret, **header: Any) -> str:
    return jwt.encode(claims, secret, algorithm="HS256", headers=header or None)


def es256(claims: dict[str, Any], *, key: Any = None, **header: Any) -> str:
    key = key or ECAlgorithm.from_jwk(SECRETS.signing_jwk)
    return jwt.encode(claims, key, algorithm="ES256", headers=header or None)


def in_seconds(seconds: float) -> int:
    return int(time.time() + seconds)


def public_pem() -> bytes:
    private = ECAlgorithm.from_jwk(SECRETS.signing_jwk)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def forged_with_public_key(kid: str | None) -> str:
    """The classic confusion: the verifier's public key used as an HMAC secret."""
    header = {"alg": "HS256", "typ": "JWT"} | ({"kid": kid} if kid else {})
    signed = f"{part(header)}.{part({'role': 'service_role'})}"
    return f"{signed}.{part(keys.hmac.digest(public_pem(), signed.encode(), 'sha256'))}"


def unsigned(alg: str, signature: str = "") -> str:
    return f"{part({'alg': alg, 'typ': 'JWT'})}.{part({'role': 'service_role'})}.{signature}"


def test_generated_secrets_survive_a_round_trip_and_stay_out_of_repr() -> None:
    assert Secrets.from_json(SECRETS.to_json()) == SECRETS
    assert repr(SECRETS) == "Secrets()"


def test_two_projects_share_nothing() -> None:
    other = Secrets.generate()
    ours, theirs = json.loads(SECRETS.to_json()), json.loads(other.to_json())
    assert all(ours[name] != theirs[name] for name in ours)
    assert set(SECRETS.passwords) == set(keys.LOGIN_ROLES)
    assert len(set(SECRETS.passwords.values())) == len(keys.LOGIN_ROLES)


def test_api_keys_have_the_shape_of_hosted_ones() -> None:
    assert re.fullmatch(r"sb_publishable_[\w-]{22}_[\w-]{8}", SECRETS.publishable_key)
    assert re.fullmatch(r"sb_secret_[\w-]{22}_[\w-]{8}", SECRETS.secret_key)
    claims = jwt.decode(SECRETS.anon_key, SECRETS.jwt_secret, algorithms=["HS256"])
    assert claims["role"] == "anon"
    assert claims["exp"] - claims["iat"] == keys.API_KEY_LIFE_SECONDS


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"anon_key": None}, "anon_key"),
        ({"passwords": "none"}, "passwords"),
        ({"jwt_secret": "short"}, "jwt_secret"),
        ({"signing_jwk": {}}, "kid"),
        ({"signing_jwk": {"kid": "k", "kty": "oct", "k": "c2VjcmV0"}}, "elliptic"),
        ({"signing_jwk": {k: v for k, v in SECRETS.signing_jwk.items() if k != "d"}}, "private"),
    ],
)
def test_unusable_stored_secrets_name_the_field(change: dict[str, Any], names: str) -> None:
    with pytest.raises(SecretsError, match=names):
        Secrets.from_json(json.dumps({**json.loads(SECRETS.to_json()), **change}))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_stored_secrets_that_are_not_an_object_are_refused(text: str) -> None:
    with pytest.raises(SecretsError):
        Secrets.from_json(text)


def test_own_tokens_verify(keyring: Keyring) -> None:
    claims = {"sub": "u", "role": "authenticated", "exp": in_seconds(60)}
    token = keyring.sign_access_token(claims)
    assert keyring.verify(token) == claims
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KID, "typ": "JWT"}
    assert keyring.verify(SECRETS.service_role_key)["role"] == "service_role"


def test_hs256_with_an_unknown_kid_falls_back_to_the_shared_secret(keyring: Keyring) -> None:
    assert keyring.verify(hs256({"role": "anon"}, kid="elsewhere")) == {"role": "anon"}


def test_published_keys_verify_access_tokens_and_hold_nothing_private(keyring: Keyring) -> None:
    (published,) = keyring.jwks()["keys"]
    assert "d" not in published
    token = keyring.sign_access_token({"sub": "u", "exp": in_seconds(60)})
    assert jwt.decode(token, jwt.PyJWK(published), algorithms=["ES256"])["sub"] == "u"
    assert published["kid"] == KID


HOSTILE = {
    "empty": ("", "malformed"),
    "word": ("hello", "malformed"),
    "two parts": ("a.b", "malformed"),
    "four parts": (f"{SECRETS.anon_key}.x", "malformed"),
    "blank around": (f" {SECRETS.anon_key}", "malformed"),
    "line end behind": (f"{SECRETS.anon_key}\n", "malformed"),
    "not latin": ("é.é.é", "malformed"),
    "padding": (f"{SECRETS.anon_key}=", "malformed"),
    "header not base64": ("a.YQ.YQ", "malformed"),
    "header not JSON": (f"{part(b'no')}.e30.YQ", "malformed"),
    "header an array": (f"{part([1])}.e30.YQ", "malformed"),
    "header nested deep": (f"{part(b'[' * 9000)}.e30.YQ", "malformed"),
    "huge": (f"{'A' * 20_000}.e30.YQ", "malformed"),
    "no algorithm": (f"{part({'typ': 'JWT'})}.e30.YQ", "algorithm"),
    "none": (unsigned("none", "YQ"), "algorithm"),
    "none without signature": (unsigned("none"), "malformed"),
    "None": (unsigned("None", "YQ"), "algorithm"),
    "nOnE": (unsigned("nOnE", "YQ"), "algorithm"),
    "hs256 in small letters": (unsigned("hs256", "YQ"), "algorithm"),
    "algorithm a list": (f"{part({'alg': ['HS256']})}.e30.YQ", "algorithm"),
    "HS512 with the right secret": (jwt.encode({}, SECRETS.jwt_secret * 2, algorithm="HS512"), "algorithm"),
    "public key as secret": (forged_with_public_key(None), "signature"),
    "public key as secret, our kid": (forged_with_public_key(KID), "algorithm"),
    "shared secret under the EC kid": (hs256({"role": "service_role"}, kid=KID), "algorithm"),
    "foreign secret": (hs256({"role": "service_role"}, secret="x" * 40), "signature"),
    "foreign EC key, our kid": (es256({}, key=ec.generate_private_key(ec.SECP256R1()), kid=KID), "signature"),
    "our EC key, other kid": (es256({}, kid="other"), "signature"),
    "our EC key, no kid": (es256({}), "signature"),
    "kid a list": (f"{part({'alg': 'ES256', 'kid': [KID]})}.e30.YQ", "signature"),
    "key in the header": (
        es256({}, key=ec.generate_private_key(ec.SECP256R1()), jwk=SECRETS.signing_jwk["x"], jku="http://127.0.0.1/"),
        "signature",
    ),
    "critical extension": (hs256({}, crit=["b64"]), "algorithm"),
    "signature of another length": (f"{es256({}, kid=KID).rpartition('.')[0]}.YQ", "signature"),
    "ES256 zero signature": (f"{es256({}, kid=KID).rpartition('.')[0]}.{part(bytes(64))}", "signature"),
    "payload swapped": (
        ".".join([SECRETS.anon_key.split(".")[0], part({"role": "service_role"}), SECRETS.anon_key.split(".")[2]]),
        "signature",
    ),
    "payload an array": (
        jwt.api_jws.PyJWS().encode(b"[1]", SECRETS.jwt_secret, algorithm="HS256"),
        "malformed",
    ),
    "payload not JSON": (jwt.api_jws.PyJWS().encode(b"hi", SECRETS.jwt_secret, algorithm="HS256"), "malformed"),
    "expired": (hs256({"exp": in_seconds(-60)}), "expired"),
    "not yet": (hs256({"nbf": in_seconds(3_600)}), "not_yet"),
    "issued tomorrow": (hs256({"iat": in_seconds(86_400)}), "not_yet"),
    "exp a word": (hs256({"exp": "tomorrow"}), "claims"),
    "exp true": (hs256({"exp": True}), "claims"),
    "exp not a number": (hs256({"exp": float("nan")}), "malformed"),
    "exp endless": (hs256({"exp": float("inf")}), "malformed"),
}


@pytest.mark.parametrize(("token", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tokens_are_refused(keyring: Keyring, token: str, reason: str) -> None:
    for _ in range(2):  # a cache must not soften the second answer
        with pytest.raises(TokenError) as refused:
            keyring.verify(token)
        assert refused.value.reason == reason
        assert str(refused.value).endswith(".")
    assert keyring.token_for_api_key(token) is None


def test_leeway_is_the_callers_choice(keyring: Keyring) -> None:
    token = hs256({"exp": in_seconds(-10)})
    assert keyring.verify(token)
    with pytest.raises(TokenError, match="expired"):
        keyring.verify(token, leeway=0)


def test_a_cached_token_still_expires(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    token = hs256({"exp": in_seconds(60)})
    keyring.verify(token)
    later = time.time() + 120
    monkeypatch.setattr(keys.time, "time", lambda: later)
    with pytest.raises(TokenError) as refused:
        keyring.verify(token)
    assert refused.value.reason == "expired"


def test_callers_cannot_change_a_cached_tokens_claims(keyring: Keyring) -> None:
    token = hs256({"role": "anon", "app_metadata": {}})
    first = keyring.verify(token)
    first["role"] = "service_role"
    first["app_metadata"]["role"] = "operator"
    assert keyring.verify(token) == {"role": "anon", "app_metadata": {}}


def test_the_cache_is_bounded(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHED_TOKENS", 3)
    for number in range(10):
        keyring.verify(hs256({"sub": str(number)}))
    assert len(keyring._verified) == 3


def test_api_keys_stand_for_tokens(keyring: Keyring) -> None:
    assert keyring.token_for_api_key(SECRETS.publishable_key) == SECRETS.anon_key
    assert keyring.token_for_api_key(SECRETS.secret_key) == SECRETS.service_role_key
    assert keyring.token_for_api_key(SECRETS.anon_key) == SECRETS.anon_key
    assert keyring.token_for_api_key(SECRETS.service_role_key) == SECRETS.service_role_key


@pytest.mark.parametrize(
    "key",
    [
        SECRETS.publishable_key[:-1],
        SECRETS.secret_key.upper(),
        "sb_secret_",
        "sb_sécret_",
        "\udcff",
        SECRETS.jwt_secret,
        hs256({"role": "authenticated"}),
        hs256({"role": ["service_role"]}),
        hs256({}),
    ],
)
def test_other_strings_are_no_api_keys(keyring: Keyring, key: str) -> None:
    assert keyring.token_for_api_key(key) is None


@given(data=st.data(), token=st.sampled_from([SECRETS.service_role_key, es256({"role": "anon"}, kid=KID)]))
def test_no_change_of_a_token_changes_what_it_says(data: st.DataObject, token: str) -> None:
    keyring = Keyring(SECRETS)
    place = data.draw(st.integers(0, len(token) - 1))
    changed = token[:place] + data.draw(st.characters()) + token[place + data.draw(st.integers(0, 2)) :]
    try:
        claims = keyring.verify(changed)
    except TokenError:
        return
    # The last character of a part has bits that stand for nothing; a token may differ there and be the same.
    assert claims == keyring.verify(token)


@given(token=st.text() | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+", fullmatch=True))
def test_any_text_gets_a_reason(token: str) -> None:
    with pytest.raises(TokenError):
        Keyring(SECRETS).verify(token)
