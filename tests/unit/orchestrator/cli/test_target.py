"""Which Supabase a command talks to, from values alone."""

from __future__ import annotations

import base64
import json

import pytest

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.target import from_environment, from_status, parse_env_lines


def jwt(role: str) -> str:
    parts = ({"alg": "HS256"}, {"role": role}, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def test_no_address_in_the_environment_is_no_target() -> None:
    assert from_environment({}) is None
    assert from_environment({"SUPABASE_URL": " "}) is None


@pytest.mark.parametrize("key", ["sb_secret_abc", jwt("service_role")])
def test_address_and_service_key_make_a_target(key: str) -> None:
    target = from_environment({"SUPABASE_URL": "https://x.supabase.co/", "SUPABASE_SECRET_KEY": key})
    assert target is not None
    assert (target.url, target.service_key) == ("https://x.supabase.co", key)


@pytest.mark.parametrize(
    "url", ["localhost:54321", "ftp://x", "http://", "http://a b", "http://h:99999", "http://h/rest/v1"]
)
def test_malformed_address_is_named(url: str) -> None:
    with pytest.raises(CliError) as raised:
        from_environment({"SUPABASE_URL": url, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_abc"})
    assert url in raised.value.message
    assert raised.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sb_publishable_abc", "publishable"),
        (jwt("anon"), "'anon'"),
        ("nonsense", "sb_secret_"),
        ("a.b.c", "sb_secret_"),
        ("", "SUPABASE_SERVICE_ROLE_KEY"),
    ],
)
def test_a_key_that_cannot_be_the_service_key_is_refused(key: str, said: str) -> None:
    with pytest.raises(CliError) as raised:
        from_environment({"SUPABASE_URL": "http://h", "SUPABASE_SERVICE_ROLE_KEY": key})
    assert said in raised.value.message


def test_a_refused_key_is_not_printed() -> None:
    with pytest.raises(CliError) as raised:
        from_environment({"SUPABASE_URL": "http://h", "SUPABASE_SECRET_KEY": "sb-secret-0123456789"})
    assert "0123456789" not in raised.value.message


def test_status_lines_of_the_supabase_cli_are_a_target() -> None:
    lines = 'Stopped services: [x]\nAPI_URL="http://127.0.0.1:54321"\nANON_KEY="a"\nSERVICE_ROLE_KEY="b"\nDB_URL="c"\n'
    target = from_status(parse_env_lines(lines), "running")
    assert (target.url, target.publishable_key, target.service_key, target.db_url) == (
        "http://127.0.0.1:54321",
        "a",
        "b",
        "c",
    )


def test_status_without_a_key_says_what_is_missing() -> None:
    with pytest.raises(CliError, match="SERVICE_ROLE_KEY"):
        from_status({"API_URL": "http://127.0.0.1:54321"}, "running")
