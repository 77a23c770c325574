"""Which Supabase a command talks to: found from values, checked before anything is sent."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.cli.errors import CliError, ExitCode

SERVICE_KEY_NAMES = ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY")
PUBLIC_KEY_NAMES = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A Supabase: its address, the key that may do everything, the key a browser may hold, and how it was found."""

    url: str
    service_key: str
    publishable_key: str | None
    found: str
    db_url: str | None = None
    db_admin_url: str | None = None


def from_environment(environ: Mapping[str, str], named_by: str = "SUPABASE_URL") -> Target | None:
    """The target that SUPABASE_URL names, or None where it is not set; DB_URL and DB_ADMIN_URL, which measuring reads,
    come along where they are set, under the names of `supabase status`. `named_by` is what the person typed the address
    into, for the sentences.

    Raises CliError for a malformed URL, a missing key, or a key that cannot be the service key.
    """
    url = environ.get("SUPABASE_URL", "").strip()
    if not url:
        return None
    name = next((name for name in SERVICE_KEY_NAMES if environ.get(name, "").strip()), None)
    if name is None:
        raise CliError(
            f"{named_by} is {url} but no service key is set; set {' or '.join(SERVICE_KEY_NAMES)}",
            ExitCode.USAGE,
        )
    public = next((environ[name].strip() for name in PUBLIC_KEY_NAMES if environ.get(name, "").strip()), None)
    return Target(
        url=checked_url(url, named_by),
        service_key=checked_service_key(environ[name].strip(), name),
        publishable_key=public,
        found="SUPABASE_URL is set",
        db_url=environ.get("DB_URL", "").strip() or None,
        db_admin_url=environ.get("DB_ADMIN_URL", "").strip() or None,
    )


def from_status(status: Mapping[str, str], found: str) -> Target:
    """The target that `supabase status` or `minibase status` describes, by the CLI's own names.

    Raises CliError where a name that is needed is missing.
    """
    url = status.get("API_URL")
    service_key = status.get("SERVICE_ROLE_KEY") or status.get("SECRET_KEY")
    if not url or not service_key:
        missing = "API_URL" if not url else "SERVICE_ROLE_KEY"
        raise CliError(f"{found}, but its status does not name {missing}", ExitCode.NO_SUPABASE)
    return Target(
        url=url.rstrip("/"),
        service_key=service_key,
        publishable_key=status.get("PUBLISHABLE_KEY") or status.get("ANON_KEY"),
        found=found,
        db_url=status.get("DB_URL"),
        db_admin_url=status.get("DB_ADMIN_URL"),
    )


def parse_env_lines(text: str) -> dict[str, str]:
    """Names and values of `NAME="value"` lines, as `supabase status -o env` prints them; other lines are skipped."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def checked_url(url: str, where: str) -> str:
    """The URL without a slash at its end. Raises CliError for what is not an http(s) address of a Supabase."""
    example = "http://127.0.0.1:54321"
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise CliError(f"{where} is not an http or https address: {url!r}; write it like {example}", ExitCode.USAGE)
    if parts.query or parts.fragment or parts.path.strip("/"):
        raise CliError(
            f"{where} holds more than the project's address: {url!r}; give it without a path, like {example}",
            ExitCode.USAGE,
        )
    return url.rstrip("/")


def checked_service_key(key: str, where: str) -> str:
    """The key, if its form is that of a service key: `sb_secret_...` or a JWT of role service_role.

    Raises CliError for any other form. Whether Supabase accepts the key only Supabase can say.
    """
    if key.startswith("sb_secret_") and len(key) > len("sb_secret_"):
        return key
    if key.startswith("sb_publishable_"):
        raise CliError(f"{where} holds a publishable key; the secret key is needed here", ExitCode.USAGE)
    role = _role_of_jwt(key)
    if role is None:
        raise CliError(
            f"{where} is not a Supabase key: {_masked(key)}; it starts with sb_secret_ or is a JWT", ExitCode.USAGE
        )
    if role != "service_role":
        raise CliError(f"{where} holds the key of role {role!r}; the service_role key is needed here", ExitCode.USAGE)
    return key


def _role_of_jwt(key: str) -> str | None:
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    role = claims.get("role") if isinstance(claims, dict) else None
    return role if isinstance(role, str) else None


def _masked(key: str) -> str:
    # A mistyped key may still be most of a real one.
    return f"{key[:6]!r}... ({len(key)} characters)"
