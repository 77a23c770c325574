"""What an API key says of itself, without asking anybody."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestrator.doctor.findings import Finding, fail, warn

SERVICE, PUBLIC = "service key", "public key"
HOSTED = ".supabase.co"
_ROLES = {"service_role": SERVICE, "anon": PUBLIC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A Supabase as the settings name it: nothing is checked yet. The names say where a key comes from."""

    url: str
    service_key: str | None
    public_key: str | None
    service_name: str = "SUPABASE_SECRET_KEY"
    public_name: str = "SUPABASE_PUBLISHABLE_KEY"
    found: str = "SUPABASE_URL is set"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """The kind of a key (one of ours, another role's, or None where this is no key), and its project if it says so."""

    kind: str | None
    project: str | None = None


def read_key(key: str) -> KeyFacts:
    """What the form and the claims of a key say; its signature is the server's to judge."""
    if key.startswith("sb_secret_"):
        return KeyFacts(kind=SERVICE)
    if key.startswith("sb_publishable_"):
        return KeyFacts(kind=PUBLIC)
    claims = _claims(key)
    role = claims.get("role")
    return KeyFacts(
        kind=_ROLES.get(str(role), f"key of role {role!r}") if role else None,
        project=str(claims["ref"]) if claims.get("ref") else None,
    )


def project_of(url: str) -> str | None:
    """The name of the hosted project at this address, or None where it is not a hosted one."""
    host = urlsplit(url).hostname or ""
    return host.removesuffix(HOSTED) if host.endswith(HOSTED) else None


def judge_forms(access: Access) -> dict[str, Finding]:
    """What is wrong with the keys by their looks alone: a finding for each that must not even be tried."""
    service, public = (read_key(key) if key else None for key in (access.service_key, access.public_key))
    if service and public and (service.kind, public.kind) == (PUBLIC, SERVICE):
        said = f"the keys are swapped: {access.service_name} holds the public one, {access.public_name} the service key"
        todo = f"exchange them; and if a browser has seen {access.public_name}, make a new service key"
        return {SERVICE: fail(SERVICE, said, todo), PUBLIC: fail(PUBLIC, "see the service key", todo)}
    found = {}
    if fault := _fault(SERVICE, service, access.service_name, access.url):
        found[SERVICE] = fault
    if public is None:
        todo = "set SUPABASE_PUBLISHABLE_KEY or SUPABASE_ANON_KEY"
        found[PUBLIC] = warn(PUBLIC, "not set: the dashboard cannot be served", todo)
    elif fault := _fault(PUBLIC, public, access.public_name, access.url):
        found[PUBLIC] = fault
    return found


def _fault(wanted: str, facts: KeyFacts | None, name: str, url: str) -> Finding | None:
    todo = f"copy the {'secret (or service_role)' if wanted == SERVICE else 'publishable (or anon)'} key into {name}"
    if facts is None:
        return fail(wanted, "not set", "set SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY")
    if facts.kind is None:
        return fail(wanted, f"{name} is not a Supabase key: it starts with sb_ or is a JWT with a role", todo)
    if (wanted, facts.kind) == (PUBLIC, SERVICE):
        said = f"{name} holds the service key: whoever opens the dashboard could do everything"
        return fail(wanted, said, f"{todo}; if a browser has seen it, make a new service key")
    if facts.kind != wanted:
        return fail(wanted, f"{name} holds a {facts.kind}", todo)
    project = project_of(url)
    if facts.project and project and facts.project != project:
        return fail(wanted, f"{name} is of the project {facts.project}, the address is of {project}", todo)
    return None


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
