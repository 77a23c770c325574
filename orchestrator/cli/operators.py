"""Operators: users whose token carries app_metadata.role = 'operator', which the policies of every table ask for."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.folder import Login
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.resolve import resolve, workdir_option

if TYPE_CHECKING:
    from supabase import Client
    from supabase_auth.types import User

    from orchestrator.cli.target import Target

LOCAL_EMAIL = "operator@stackbeat.localhost"
USERS_PER_PAGE = 200


@click.group("operator", help="People who may steer: play, pause, stop, create.")
def operator() -> None:
    """The group of operator commands."""


@operator.command("add", help="Make EMAIL an operator; a new user gets a password, which is printed once.")
@click.argument("email")
@click.option("--read-only", is_flag=True, help="May look at runs, costs and memory, but not steer.")
@workdir_option
@json_option
def add(email: str, read_only: bool, workdir: Path, as_json: bool) -> None:
    """Create the user, or give an existing one the role."""
    email = email.strip()
    name, _, domain = email.partition("@")
    if not name or not domain or any(character.isspace() for character in email):
        raise CliError(f"{email!r} is not an e-mail address; give one like ada@example.com", ExitCode.USAGE)
    with connect(resolve(workdir)) as client:
        password = grant(client, email, read_only=read_only)
    if as_json:
        print_json({"email": email, "password": password, "read_only": read_only})
        return
    role = "a read-only operator" if read_only else "an operator"
    click.echo(
        f"{email} is {role}"
        + (
            f"; password: {password}"
            if password
            else "; the password is as before, and who is signed in signs in again"
        )
    )


def grant(client: Client, email: str, *, read_only: bool) -> str | None:
    """Make `email` an operator. Returns the password of a new user, None for one that was there already."""
    from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

    password = new_password()
    metadata: dict[str, Any] = {"role": "operator", "read_only": read_only}
    try:
        client.auth.admin.create_user(
            {"email": email, "password": password, "email_confirm": True, "app_metadata": metadata}
        )
    except AuthWeakPasswordError as error:
        # Which of the two is said of a user that is there already is up to the server.
        user = _find_user(client, email)
        if user is None:
            why = error.message.rstrip(".")
            raise CliError(
                f"this project wants other passwords than the {len(password)} characters made here ({why}); "
                f"make the user {email} in the project's dashboard with a password of yours, then type this again",
                ExitCode.REFUSED,
            ) from error
    except AuthApiError as error:
        if error.code not in {"email_exists", "user_already_exists"}:
            raise
        user = _existing_user(client, email)
    else:
        return password
    client.auth.admin.update_user_by_id(user.id, {"app_metadata": metadata})
    return None


def new_password() -> str:
    """A password for anybody's rules: 24 characters, upper and lower case, digits, and symbols but for the first."""
    while True:
        password = secrets.token_urlsafe(18)
        kinds = (str.isupper, str.islower, str.isdigit, lambda character: character in "-_")
        if password[0].isalnum() and all(any(map(kind, password)) for kind in kinds):
            return password


def ensure_local_operator(target: Target, known: Login | None) -> Login:
    """An operator who can sign in: the one known if its sign-in works, else a new one or one with a new password."""
    if known is not None and _can_sign_in(target, known):
        return known
    email = known.email if known is not None else LOCAL_EMAIL
    with connect(target) as client:
        password = grant(client, email, read_only=False)
        if password is None:
            password = new_password()
            client.auth.admin.update_user_by_id(_existing_user(client, email).id, {"password": password})
    return Login(email=email, password=password)


def _can_sign_in(target: Target, login: Login) -> bool:
    from supabase_auth.errors import AuthApiError

    # A client of its own: signing in would put the user's token in the place of the service key.
    with connect(target, key=target.publishable_key) as client:
        try:
            client.auth.sign_in_with_password({"email": login.email, "password": login.password})
        except AuthApiError as error:
            if error.code == "invalid_credentials":
                return False
            raise
    return True


def _existing_user(client: Client, email: str) -> User:
    user = _find_user(client, email)
    if user is None:
        raise CliError(f"Supabase says {email} exists but does not list it; try again", ExitCode.REFUSED)
    return user


def _find_user(client: Client, email: str) -> User | None:
    page = 1
    while users := client.auth.admin.list_users(page=page, per_page=USERS_PER_PAGE):
        for user in users:
            if (user.email or "").casefold() == email.casefold():
                return user
        if len(users) < USERS_PER_PAGE:
            break
        page += 1
    return None
