"""Where a running database is, and with which passwords its roles sign in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

HOST = "127.0.0.1"
"""Everything minibase serves, it serves here: other machines are never let in."""


class Login(StrEnum):
    """The roles that may sign in; every other role is reached from one of them by `set role`."""

    ADMIN = "supabase_admin"
    """Superuser: owns what the platform owns, bootstraps, serves tools."""
    OWNER = "postgres"
    """Owns the database, not a superuser: migrations and the SQL editor, as on hosted Supabase."""
    API = "authenticator"
    """REST and realtime visibility: may become anon, authenticated or service_role, and nothing by itself."""
    AUTH = "supabase_auth_admin"
    """Owns the tables in `auth`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One database on one server, and the password of every login role."""

    host: str
    port: int
    database: str = "postgres"
    passwords: Mapping[str, str] = field(repr=False)

    def dsn(self, role: str) -> str:
        """The connection URL for `role`, which must be one of `passwords` (KeyError otherwise)."""
        user, password, database = (quote(text, safe="") for text in (str(role), self.passwords[role], self.database))
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}"
