"""What minibase reads from `supabase/config.toml`.

The file belongs to the Supabase CLI, which knows many more keys: those are left alone, so that one file serves both.
A key we do read must have the right type and range, or loading stops with a sentence.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibase.errors import MinibaseError
from minibase.known_keys import find_unknown

CONFIG_FILE = Path("supabase", "config.toml")
_FROM_ENVIRONMENT = re.compile(r"env\((\w+)\)")
_MAX_JWT_EXPIRY = 604_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one project; every default is the CLI's own."""

    project_id: str
    api_port: int = 54321
    schemas: tuple[str, ...] = ("public", "graphql_public")
    extra_search_path: tuple[str, ...] = ("public", "extensions")
    max_rows: int = 1000
    auto_expose_new_tables: bool = True
    db_port: int = 54322
    migrations_enabled: bool = True
    seed_enabled: bool = True
    seed_paths: tuple[str, ...] = ("./seed.sql",)
    site_url: str = "http://127.0.0.1:3000"
    jwt_expiry: int = 3600
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    minimum_password_length: int = 6
    refresh_token_reuse_interval: int = 10
    enable_refresh_token_rotation: bool = True
    enable_confirmations: bool = False
    max_concurrent_users: int = 0
    max_joins_per_second: int = 0
    max_events_per_second: int = 0
    max_presence_events_per_second: int = 0
    max_client_presence_events_per_window: int = 0
    client_presence_window_ms: int = 30_000
    max_seconds_silent: int = 60
    max_seconds_without_channel: int = 600
    private_only: bool = False
    max_channels_per_client: int = 100
    max_payload_size_in_kb: int = 3000
    unknown: tuple[str, ...] = ()
    """Keys that neither minibase nor, as far as is known, the CLI reads."""

    @staticmethod
    def load(workdir: Path) -> Config:
        """Read `supabase/config.toml` below `workdir`; defaults where the file or a key is absent.

        Raises MinibaseError for a file that is not TOML and for a value of the wrong type or range.
        """
        file = workdir / CONFIG_FILE
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            document = {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MinibaseError(f"{file} is not valid TOML: {error}. Correct that line and start again.") from error
        return Config.parse(document, project_id=workdir.resolve().name, source=str(file), environment=os.environ)

    @staticmethod
    def parse(document: Mapping[str, Any], *, project_id: str, source: str, environment: Mapping[str, str]) -> Config:
        """Turn a parsed config file into a Config; `project_id` counts where the file names none."""
        read = _Reader(document, source, environment)
        default = Config(project_id=project_id)
        return Config(
            project_id=read.text("project_id", default.project_id),
            api_port=read.number("api.port", default.api_port, 1, 65535),
            schemas=read.texts("api.schemas", default.schemas),
            extra_search_path=read.texts("api.extra_search_path", default.extra_search_path),
            max_rows=read.number("api.max_rows", default.max_rows, 1),
            auto_expose_new_tables=read.flag("api.auto_expose_new_tables", default.auto_expose_new_tables),
            db_port=read.number("db.port", default.db_port, 1, 65535),
            migrations_enabled=read.flag("db.migrations.enabled", default.migrations_enabled),
            seed_enabled=read.flag("db.seed.enabled", default.seed_enabled),
            seed_paths=read.texts("db.seed.sql_paths", default.seed_paths),
            site_url=read.text("auth.site_url", default.site_url),
            jwt_expiry=read.number("auth.jwt_expiry", default.jwt_expiry, 1, _MAX_JWT_EXPIRY),
            enable_signup=read.flag("auth.enable_signup", default.enable_signup),
            enable_anonymous_sign_ins=read.flag("auth.enable_anonymous_sign_ins", default.enable_anonymous_sign_ins),
            minimum_password_length=read.number("auth.minimum_password_length", default.minimum_password_length, 1, 72),
            refresh_token_reuse_interval=read.number(
                "auth.refresh_token_reuse_interval", default.refresh_token_reuse_interval, 0
            ),
            enable_refresh_token_rotation=read.flag(
                "auth.enable_refresh_token_rotation", default.enable_refresh_token_rotation
            ),
            enable_confirmations=read.flag("auth.email.enable_confirmations", default.enable_confirmations),
            max_concurrent_users=read.number("realtime.max_concurrent_users", default.max_concurrent_users, 0),
            max_joins_per_second=read.number("realtime.max_joins_per_second", default.max_joins_per_second, 0),
            max_events_per_second=read.number("realtime.max_events_per_second", default.max_events_per_second, 0),
            max_presence_events_per_second=read.number(
                "realtime.max_presence_events_per_second", default.max_presence_events_per_second, 0
            ),
            max_client_presence_events_per_window=read.number(
                "realtime.max_client_presence_events_per_window", default.max_client_presence_events_per_window, 0
            ),
            client_presence_window_ms=read.number(
                "realtime.client_presence_window_ms", default.client_presence_window_ms, 1
            ),
            max_seconds_silent=read.number("realtime.max_seconds_silent", default.max_seconds_silent, 0),
            max_seconds_without_channel=read.number(
                "realtime.max_seconds_without_channel", default.max_seconds_without_channel, 0
            ),
            private_only=read.flag("realtime.private_only", default.private_only),
            max_channels_per_client=read.number("realtime.max_channels_per_client", default.max_channels_per_client, 1),
            max_payload_size_in_kb=read.number(
                "realtime.max_payload_size_in_kb", default.max_payload_size_in_kb, 1, 4_000
            ),
            unknown=find_unknown(document),
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed look-ups by dotted name, with one wording for every refusal."""

    document: Mapping[str, Any]
    source: str
    environment: Mapping[str, str]

    def flag(self, name: str, default: bool) -> bool:
        value = self._find(name, default)
        if not isinstance(value, bool):
            raise self._refuse(name, value, "true or false")
        return value

    def number(self, name: str, default: int, least: int, most: int | None = None) -> int:
        value = self._find(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least or (most and value > most):
            raise self._refuse(name, value, f"a whole number from {least}" + (f" to {most}" if most else ""))
        return value

    def text(self, name: str, default: str) -> str:
        value = self._find(name, default)
        if not isinstance(value, str) or not value:
            raise self._refuse(name, value, "a text in quotes")
        return self._substitute(name, value)

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._find(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
            raise self._refuse(name, value, "a list of texts")
        return tuple(self._substitute(name, item) for item in value)

    def _find(self, name: str, default: object) -> object:
        here: object = self.document
        for part in name.split("."):
            if not isinstance(here, Mapping):
                raise self._refuse(name.rpartition(".")[0], here, "a section")
            if part not in here:
                return default
            here = here[part]
        return here

    def _substitute(self, name: str, value: str) -> str:
        match = _FROM_ENVIRONMENT.fullmatch(value)
        if match is None:
            return value
        variable = match.group(1)
        if not self.environment.get(variable):
            raise MinibaseError(f"{self.source}: {name} is taken from {variable}, which is not set. Set {variable}.")
        return self.environment[variable]

    def _refuse(self, name: str, value: object, wanted: str) -> MinibaseError:
        return MinibaseError(f"{self.source}: {name} is {value!r}, but must be {wanted}. Correct it and start again.")
