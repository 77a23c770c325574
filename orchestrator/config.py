"""The daemon's settings: built and checked once at start, immutable afterwards.

Sources, the later one wins: defaults, ``stackbeat.toml``, the environment. Only this file reads the environment.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

FILE_NAME = "stackbeat.toml"


class ConfigError(Exception):
    """A setting cannot be used; the text is one sentence: which setting, which value, what to do."""


class ProviderName(StrEnum):
    GROQ = "groq"
    OPENAI = "openai"
    SIMULATED = "simulated"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Latency(Section):
    """How long the simulated model pretends to think: uniformly between two bounds, in seconds."""

    low: float = Field(default=0.0, ge=0)
    high: float = Field(default=0.0, ge=0)


def _read_latency(value: object) -> object:
    """Turn ``"1-3"`` or ``"2"`` (seconds) into bounds; anything already in shape passes through."""
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str):
        return value
    low, _, high = value.partition("-")
    try:
        bounds = (float(low), float(high or low))
    except ValueError:
        raise ValueError('write seconds as "A-B", for example "1-3"') from None
    if not 0 <= bounds[0] <= bounds[1] < float("inf"):
        raise ValueError('write seconds as "A-B" with 0 <= A <= B, for example "1-3"')
    return {"low": bounds[0], "high": bounds[1]}


def _read_order(value: object) -> object:
    """Turn ``"groq, openai"`` into a list; ``"auto"`` and lists pass through."""
    if isinstance(value, str) and value != "auto":
        value = [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list) and (unknown := [name for name in value if name not in tuple(ProviderName)]):
        raise ValueError(f'{unknown[0]!r} is no provider; write "auto" or name groq, openai or simulated')
    return value


class RealProvider(Section):
    """One provider that is reached over HTTP and costs money."""

    api_key: SecretStr | None = None
    base_url: str | None = None
    small: str
    large: str
    timeout_s: Seconds = 60.0
    max_connections: int = Field(default=100, ge=1, le=10_000)
    send_temperature: bool = True
    reasoning_effort: str | None = None

    @property
    def has_key(self) -> bool:
        return self.api_key is not None and bool(self.api_key.get_secret_value().strip())


class Groq(RealProvider):
    small: str = "openai/gpt-oss-20b"
    large: str = "openai/gpt-oss-120b"


class OpenAI(RealProvider):
    small: str = "gpt-6-luna"
    large: str = "gpt-6-luna"
    # This family thinks by default and takes a temperature only where it does not.
    reasoning_effort: str | None = "none"


class Simulated(Section):
    # Long enough to be seen at work, short enough for a first trace well within five seconds.
    latency: Annotated[Latency, BeforeValidator(_read_latency)] = Latency(low=0.3, high=1.2)


class Models(Section):
    """Which models answer, in which order, and how long a run may wait for them."""

    order: Annotated[Literal["auto"] | tuple[ProviderName, ...], BeforeValidator(_read_order)] = "auto"
    deadline_s: Seconds = 120.0
    patience_s: float = Field(default=2.0, ge=0)
    groq: Groq = Groq()
    openai: OpenAI = OpenAI()
    simulated: Simulated = Simulated()

    def chain(self) -> tuple[ProviderName, ...]:
        """The providers to ask, first choice first.

        ``auto`` takes the simulated model only where no key is set at all: a real outage must stay visible.
        """
        if self.order != "auto":
            return self.order
        keyed = ((ProviderName.GROQ, self.groq.has_key), (ProviderName.OPENAI, self.openai.has_key))
        return tuple(name for name, has_key in keyed if has_key) or (ProviderName.SIMULATED,)


class Retention(Section):
    """How many days the machine's own records are kept, and how often what is older is deleted."""

    traces_days: int = Field(default=14, ge=1, le=36_500)
    runs_days: int = Field(default=14, ge=1, le=36_500)
    calls_days: int = Field(default=90, ge=1, le=36_500)
    every_s: Seconds = 3_600.0


class AgentSettings(Section):
    """What is set for one agent, by its name. ``prompt`` is a file that takes the place of its instructions."""

    prompt: Path | None = None


class Config(Section):
    """Everything the daemon is told from outside."""

    supabase_url: str
    service_key: SecretStr
    name: str = Field(default="stackbeat", min_length=1, max_length=80)
    cadence_s: Seconds = 10.0
    # How many stacks at once: by this daemon, by all daemons of the database together (None: no limit).
    slots: int = Field(default=200, ge=1, le=10_000)
    fleet_slots: int | None = Field(default=None, ge=1, le=100_000)
    # How many agents of one stack at once.
    stage_size: int = Field(default=8, ge=1, le=100)
    lease_s: Seconds = 15.0
    heartbeat_s: Seconds = 2.0
    grace_s: float = Field(default=10.0, ge=0, le=3_600)
    request_timeout_s: Seconds = 10.0
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    models: Models = Models()
    retention: Retention = Retention()
    agents: Mapping[str, AgentSettings] = {}

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, file: Path | None = None) -> Config:
        """Read ``stackbeat.toml`` (``file``, else the one in the current folder, else none) and the environment.

        Raises ConfigError for the first setting that is unknown, malformed or missing.
        """
        environ = os.environ if environ is None else environ
        values = _merge(_read_file(file), _read_environment(environ))
        if not values.get("supabase_url"):
            raise ConfigError("SUPABASE_URL is not set: give the API's address, for example http://127.0.0.1:54321")
        if not values.get("service_key"):
            raise ConfigError(
                "no service key: set SUPABASE_SERVICE_ROLE_KEY or SUPABASE_SECRET_KEY "
                "(`supabase status -o env` and `minibase status -o env` print it)"
            )
        config = cls.build(values)
        folder = (file or Path(FILE_NAME)).absolute().parent
        return config.model_copy(update={"agents": _prompts_beside(folder, config.agents)})

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Config:
        """Check values from anywhere and make them a Config; raises ConfigError."""
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_first_sentence(error)) from None
        _check_url(config.supabase_url)
        _check_key(config.service_key.get_secret_value())
        _check_leases(config)
        _check_base_urls(config.models)
        _check_providers(config.models)
        return config


def _prompts_beside(folder: Path, agents: Mapping[str, AgentSettings]) -> Mapping[str, AgentSettings]:
    """The same settings with each prompt's path taken from the folder of the file that names it."""
    return {
        name: agent if agent.prompt is None else agent.model_copy(update={"prompt": folder / agent.prompt})
        for name, agent in agents.items()
    }


# Environment name -> place in the configuration. STACKBEAT_* names outside this table are refused.
ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "SUPABASE_URL": ("supabase_url",),
    "SUPABASE_SECRET_KEY": ("service_key",),
    "SUPABASE_SERVICE_ROLE_KEY": ("service_key",),
    "GROQ_API_KEY": ("models", "groq", "api_key"),
    "GROQ_BASE_URL": ("models", "groq", "base_url"),
    "OPENAI_API_KEY": ("models", "openai", "api_key"),
    "OPENAI_BASE_URL": ("models", "openai", "base_url"),
    "STACKBEAT_NAME": ("name",),
    "STACKBEAT_CADENCE_S": ("cadence_s",),
    "STACKBEAT_SLOTS": ("slots",),
    "STACKBEAT_FLEET_SLOTS": ("fleet_slots",),
    "STACKBEAT_STAGE_SIZE": ("stage_size",),
    "STACKBEAT_LEASE_S": ("lease_s",),
    "STACKBEAT_HEARTBEAT_S": ("heartbeat_s",),
    "STACKBEAT_GRACE_S": ("grace_s",),
    "STACKBEAT_REQUEST_TIMEOUT_S": ("request_timeout_s",),
    "STACKBEAT_METRICS_PORT": ("metrics_port",),
    "STACKBEAT_METRICS_HOST": ("metrics_host",),
    "STACKBEAT_PROVIDERS": ("models", "order"),
    "STACKBEAT_DEADLINE_S": ("models", "deadline_s"),
    "STACKBEAT_GROQ_SMALL": ("models", "groq", "small"),
    "STACKBEAT_GROQ_LARGE": ("models", "groq", "large"),
    "STACKBEAT_GROQ_TIMEOUT_S": ("models", "groq", "timeout_s"),
    "STACKBEAT_OPENAI_SMALL": ("models", "openai", "small"),
    "STACKBEAT_OPENAI_LARGE": ("models", "openai", "large"),
    "STACKBEAT_OPENAI_TIMEOUT_S": ("models", "openai", "timeout_s"),
    "STACKBEAT_SIMULATED_LATENCY": ("models", "simulated", "latency"),
}


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    for name in environ:
        if name.startswith("STACKBEAT_") and name not in ENVIRONMENT:
            raise ConfigError(f"{name} is not a setting of the daemon{_nearest(name, ENVIRONMENT)}")
    values: dict[str, Any] = {}
    for name, path in ENVIRONMENT.items():
        if environ.get(name):
            values = _merge(values, _nested(path, environ[name].strip()))
    return values


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE_NAME)
    if file is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value if isinstance(value, dict) else {}


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else ""


def _first_sentence(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    path = [str(part) for part in fault["loc"] if not str(part).startswith(("function-", "literal", "tuple"))]
    where = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {where} in {FILE_NAME}{_nearest(path[-1], _keys_beside(path[:-1]))}"
    value = "" if path[-1] in {"api_key", "service_key"} else f" = {fault['input']!r}"
    return f"{where}{value}: {fault['msg'].removeprefix('Value error, ')}"


def _keys_beside(path: list[str]) -> Iterable[str]:
    section: type[BaseModel] = Config
    for part in path:
        inner = section.model_fields[part].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        section = inner
    return section.model_fields.keys()


def _is_http_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _check_url(url: str) -> None:
    parts = urlsplit(url) if _is_http_address(url) else None
    if parts is None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ConfigError(
            f"SUPABASE_URL is {url!r}: it must be the API's address and nothing more, "
            "like http://127.0.0.1:54321 or https://your-project.supabase.co"
        )


def _check_key(key: str) -> None:
    if key.startswith("sb_publishable_"):
        raise ConfigError("the service key is a publishable key: the daemon needs the secret (or service_role) key")
    if key.startswith("sb_secret_"):
        return
    role = _role_of(key)
    if role is None:
        raise ConfigError(
            "the service key is neither a JWT nor an sb_secret_ key: "
            "copy SERVICE_ROLE_KEY or SECRET_KEY from `supabase status -o env`"
        )
    if role != "service_role":
        raise ConfigError(f"the service key carries the role {role!r}: the daemon needs the service_role key")


def _role_of(token: str) -> str | None:
    """The role a JWT claims, unverified (the server judges it); None if this is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return str(claims.get("role", "")) if isinstance(claims, dict) else None


def _check_leases(config: Config) -> None:
    if config.heartbeat_s * 2 > config.lease_s:
        raise ConfigError(
            f"heartbeat_s = {config.heartbeat_s:g} is too slow for lease_s = {config.lease_s:g}: "
            "a lease must outlive at least two heartbeats"
        )


def _check_base_urls(models: Models) -> None:
    for name, provider in ((ProviderName.GROQ, models.groq), (ProviderName.OPENAI, models.openai)):
        if provider.base_url is not None and not _is_http_address(provider.base_url):
            raise ConfigError(
                f"{name.upper()}_BASE_URL is {provider.base_url!r}: write an http or https address, "
                "like https://api.example.com/v1"
            )


def _check_providers(models: Models) -> None:
    if models.order == "auto":
        return
    if not models.order:
        raise ConfigError('models.order is empty: write "auto" or name groq, openai or simulated')
    if len(set(models.order)) < len(models.order):
        raise ConfigError(f"models.order names a provider twice: {', '.join(models.order)}")
    if ProviderName.SIMULATED in models.order and len(models.order) > 1:
        raise ConfigError(
            "models.order mixes the simulated model with real ones: an outage would be covered up by invented replies"
        )
    for name, provider in ((ProviderName.GROQ, models.groq), (ProviderName.OPENAI, models.openai)):
        if name in models.order and not provider.has_key:
            raise ConfigError(f"models.order names {name} but {name.upper()}_API_KEY is not set")
