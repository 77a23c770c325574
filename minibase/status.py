"""What a program needs in order to talk to a running minibase, under the names of `supabase status`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from minibase.keys import Secrets
from minibase.postgres.endpoint import HOST, Endpoint, Login
from minibase.project import Runtime

_SHELL_SPECIAL = re.compile(r'["\\$`]')


def describe(runtime: Runtime, secrets: Secrets) -> dict[str, str]:
    """Names and values, sorted by name. DB_ADMIN_URL (a superuser, for tools) is ours, the others are the CLI's."""
    api = f"http://{HOST}:{runtime.api_port}"
    endpoint = Endpoint(host=HOST, port=runtime.db_port, passwords=secrets.passwords)
    return {
        "ANON_KEY": secrets.anon_key,
        "API_URL": api,
        "DB_ADMIN_URL": endpoint.dsn(Login.ADMIN),
        "DB_URL": endpoint.dsn(Login.OWNER),
        "JWT_SECRET": secrets.jwt_secret,
        "PUBLISHABLE_KEY": secrets.publishable_key,
        "REST_URL": f"{api}/rest/v1",
        "SECRET_KEY": secrets.secret_key,
        "SERVICE_ROLE_KEY": secrets.service_role_key,
    }


def as_env(values: Mapping[str, str]) -> str:
    """Lines that a POSIX shell may `eval` or source."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    return '"' + _SHELL_SPECIAL.sub(lambda special: "\\" + special.group(), value) + '"'


def as_json(values: Mapping[str, str]) -> str:
    return json.dumps(dict(values), indent=2) + "\n"


def as_table(values: Mapping[str, str]) -> str:
    """For people: addresses and the two keys to hand out; the older keys are there for programs only."""
    rows = (
        ("API URL", "API_URL"),
        ("Database URL", "DB_URL"),
        ("Publishable key", "PUBLISHABLE_KEY"),
        ("Secret key", "SECRET_KEY"),
    )
    return "".join(f"{label:>16}  {values[name]}\n" for label, name in rows)
