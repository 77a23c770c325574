"""What `stackbeat doctor` sees in the keys alone, for a hosted project too, of which no test can have one."""

from __future__ import annotations

import base64
import json

import pytest

from orchestrator.doctor.findings import Level
from orchestrator.doctor.keys import PUBLIC, SERVICE, Access, judge_forms, project_of


def jwt(**claims: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2ln"


def judge(service: str | None, public: str | None, url: str = "https://abcd.supabase.co") -> dict[str, str]:
    found = judge_forms(Access(url=url, service_key=service, public_key=public))
    assert all(finding.level is not Level.OK and finding.todo for finding in found.values())
    return {check: finding.said for check, finding in found.items()}


@pytest.mark.parametrize(
    ("service", "public"),
    [
        ("sb_secret_a", "sb_publishable_a"),
        (jwt(role="service_role", ref="abcd"), jwt(role="anon", ref="abcd")),
        (jwt(role="service_role"), "sb_publishable_a"),
    ],
)
def test_keys_in_their_places_may_be_tried(service: str, public: str) -> None:
    assert judge(service, public) == {}


def test_keys_of_another_hosted_project_are_told_without_asking_it() -> None:
    found = judge(jwt(role="service_role", ref="wxyz"), jwt(role="anon", ref="wxyz"))
    assert found == {
        SERVICE: "SUPABASE_SECRET_KEY is of the project wxyz, the address is of abcd",
        PUBLIC: "SUPABASE_PUBLISHABLE_KEY is of the project wxyz, the address is of abcd",
    }


def test_old_keys_are_swapped_like_new_ones() -> None:
    assert "the keys are swapped" in judge(jwt(role="anon"), jwt(role="service_role"))[SERVICE]


@pytest.mark.parametrize("nonsense", ["hello", "a.b.c", "a..c", jwt(), "sb-secret-abc"])
def test_what_is_no_key_is_told_and_not_printed(nonsense: str) -> None:
    said = judge(nonsense, "sb_publishable_a")[SERVICE]
    assert said == "SUPABASE_SECRET_KEY is not a Supabase key: it starts with sb_ or is a JWT with a role"


def test_only_hosted_addresses_name_a_project() -> None:
    assert project_of("https://abcd.supabase.co") == "abcd"
    assert project_of("http://127.0.0.1:54321") is None
    assert project_of("https://db.example.com") is None
