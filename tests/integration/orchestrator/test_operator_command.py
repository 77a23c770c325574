"""`stackbeat operator add` on projects with rules of their own: weak passwords, bad addresses, users that are there."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.cli.errors import ExitCode
from orchestrator.cli.operators import new_password


async def add(api: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    monkeypatch.setenv("SUPABASE_URL", api.url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", api.secrets.secret_key)
    return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(main, ["operator", "add", *arguments]))


async def test_a_project_that_wants_longer_passwords_says_what_to_do(serve_api: Any, monkeypatch: Any) -> None:
    async with serve_api(minimum_password_length=40) as api:
        refused = await add(api, monkeypatch, "ada@example.com")
        assert refused.exit_code == ExitCode.REFUSED
        assert "this project wants other passwords than the 24 characters made here" in refused.stderr
        assert "make the user ada@example.com in the project's dashboard" in refused.stderr
        client = await api.client(api.secrets.secret_key)
        user = {
            "email": "ada@example.com",
            "password": "p" * 40,
            "email_confirm": True,
            "app_metadata": {"team": "red"},
        }
        await client.auth.admin.create_user(user)
        made = await add(api, monkeypatch, "Ada@Example.com")
    assert made.exit_code == 0, made.stderr
    assert "the password is as before, and who is signed in signs in again" in made.stdout


async def test_a_user_who_is_there_keeps_the_rest_and_may_be_taken_back_to_looking(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await api.client(api.secrets.secret_key)
    made = await client.auth.admin.create_user(
        {"email": "ada@example.com", "password": "password-1", "email_confirm": True, "app_metadata": {"team": "red"}}
    )
    for options, read_only in (((), False), (("--read-only",), True)):
        assert (await add(api, monkeypatch, "ada@example.com", *options)).exit_code == 0
        user = (await client.auth.admin.get_user_by_id(made.user.id)).user
        assert user.app_metadata["role"] == "operator"
        assert user.app_metadata["read_only"] is read_only
        assert user.app_metadata["team"] == "red"
    session = await (await api.client()).auth.sign_in_with_password(
        {"email": "ada@example.com", "password": "password-1"}
    )
    assert session.user.app_metadata["role"] == "operator"


@pytest.mark.parametrize("email", ["ada@", "@example.com", "ada example@x.com", "ada@exa mple.com"])
async def test_what_is_no_address_is_refused_before_anybody_is_asked(
    api: Any, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    refused = await add(api, monkeypatch, email)
    assert refused.exit_code == ExitCode.USAGE
    assert f"{email!r} is not an e-mail address; give one like ada@example.com" in refused.stderr


def test_a_new_password_passes_the_strictest_rules() -> None:
    for password in (new_password() for _ in range(200)):
        assert len(password) == 24
        assert password[0].isalnum()
        assert any(map(str.isupper, password))
        assert any(map(str.islower, password))
        assert any(map(str.isdigit, password))
        assert set(password) & set("-_")
