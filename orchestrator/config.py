"""The daemon's settings: built and checked once at start, immutable afterwards.

Sources, the later one wins: defaults, ``stackbeat.toml``, the environment. Only this file reads the environment.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

FILE_NAME = "stackbeat.toml"


class ConfigError(Exception):
    """A setting cannot be used; the text is one sentence: which setting, which value, what to do."""


class ProviderName(StrEnum):
    """The providers that need no configuration to exist; endpoints have names of their own beside these."""

    GROQ = "groq"
    OPENAI = "openai"
    SIMULATED = "simulated"
    REPLAY = "replay"


RESERVED = frozenset({*ProviderName, "auto"})


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
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


ModelName = Annotated[str, Field(min_length=1, max_length=200)]
AgentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class RealProvider(Section):
    """One provider that is reached over HTTP and costs money.

    ``roles`` names a model for single agents, by the agent's name; the others take ``small`` or ``large``, as each of
    their questions asks for.
    """

    api_key: SecretStr | None = None
    base_url: str | None = None
    small: ModelName
    large: ModelName
    roles: Mapping[AgentName, ModelName] = {}
    timeout_s: Seconds = 60.0
    max_connections: int = Field(default=100, ge=1, le=10_000)
    send_temperature: bool = True
    reasoning_effort: str | None = None
    # How the reply's length is bounded on the wire; the SDKs know both names, servers often only one.
    length_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"

    @property
    def has_key(self) -> bool:
        return self.api_key is not None and bool(self.api_key.get_secret_value().strip())

    @property
    def shown_key(self) -> str:
        """What the provider is shown. The SDKs want a key even where there is none, and HTTP has no empty one."""
        return self.api_key.get_secret_value().strip() if self.api_key and self.has_key else "none"


class Groq(RealProvider):
    small: str = "openai/gpt-oss-20b"
    large: str = "openai/gpt-oss-120b"


class OpenAI(RealProvider):
    small: str = "gpt-6-luna"
    large: str = "gpt-6-luna"
    # This family thinks by default and takes a temperature only where it does not.
    reasoning_effort: str | None = "none"


class Endpoint(RealProvider):
    """A server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, another vendor. Its key is optional."""

    base_url: str
    length_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"


class Price(Section):
    """US dollars for a million tokens; cached ones cost what others do unless said otherwise."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)


# Of a model whose price nobody knows: dearer than most, so that a budget is never blind.
UNKNOWN_PRICE = Price(input=2.0, output=10.0)


class Simulated(Section):
    # Long enough to be seen at work, short enough for a first trace well within five seconds.
    latency: Annotated[Latency, BeforeValidator(_read_latency)] = Latency(low=0.3, high=1.2)


class Replay(Section):
    """A recording of replies that stands in for a model."""

    file: Path | None = None


def _offline_here() -> bool:
    return os.environ.get("STACKBEAT_OFFLINE", "").strip().lower() not in {"", "0", "false", "no", "off"}


EndpointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class Models(Section):
    """Which models answer, in which order, what they cost, and how long a run may wait for them."""

    order: Annotated[Literal["auto"] | tuple[str, ...], BeforeValidator(_read_order)] = "auto"
    deadline_s: Seconds = 120.0
    patience_s: float = Field(default=2.0, ge=0)
    groq: Groq = Groq()
    openai: OpenAI = OpenAI()
    endpoints: Mapping[EndpointName, Endpoint] = {}
    simulated: Simulated = Simulated()
    replay: Replay = Replay()
    # No provider but those on this machine's loopback may be asked. The process's environment decides, whatever a
    # caller reads its settings from: a switch that tests can rely on.
    offline: bool = Field(default_factory=_offline_here)
    # By "provider/model", or "provider/*" for all of a provider's; what stands here wins over the price table.
    prices: Mapping[str, Price] = {}
    default_price: Price = UNKNOWN_PRICE

    def chain(self) -> tuple[str, ...]:
        """The providers to ask, first choice first.

        ``auto`` takes the simulated model only where no key is set at all: a real outage must stay visible. Endpoints
        are asked where the order names them.
        """
        if self.order != "auto":
            return self.order
        keyed = ((ProviderName.GROQ, self.groq.has_key), (ProviderName.OPENAI, self.openai.has_key))
        return tuple(name for name, has_key in keyed if has_key) or (ProviderName.SIMULATED,)

    def real(self, name: str) -> RealProvider | None:
        """The settings of a provider that is reached over HTTP; None for any other name."""
        known: dict[str, RealProvider] = {ProviderName.GROQ: self.groq, ProviderName.OPENAI: self.openai}
        return known.get(name) or self.endpoints.get(name)


class Retention(Section):
    """How many days the machine's own records are kept, and how often what is older is deleted."""

    traces_days: int = Field(default=14, ge=1, le=36_500)
    runs_days: int = Field(default=14, ge=1, le=36_500)
    calls_days: int = Field(default=90, ge=1, le=36_500)
    every_s: Seconds = 3_600.0


class SavingStep(Section):
    """What is done without once ``at`` (a share) of a budget is used."""

    at: float = Field(gt=0, lt=1)
    # The cadence of routine work, so many times as long; the model of small questions for all; only these agents.
    slower: float | None = Field(default=None, ge=1, le=1_000)
    tier: Literal["small"] | None = None
    roles: tuple[AgentName, ...] | None = None


class Budget(Section):
    """Steps to take before a budget is exhausted, and how often its use is looked at."""

    degrade: Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")], SavingStep] = {}
    every_s: Seconds = 5.0


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
    models: Models = Field(default_factory=Models)
    retention: Retention = Retention()
    budget: Budget = Budget()
    agents: Mapping[str, AgentSettings] = {}

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, file: Path | None = None) -> Config:
        """Read ``stackbeat.toml`` (``file``, else the one in the current folder, else none) and the environment.

        Raises ConfigError for the first setting that is unknown, malformed or missing.
        """
        environ = os.environ if environ is None else environ
        said = _read_file(file)
        values = _merge(said, _read_environment(environ, _endpoints_of(said)))
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
        _check_endpoints(config.models)
        _check_providers(config.models)
        _check_prices(config.models)
        check_offline(config.models)
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
    "STACKBEAT_OFFLINE": ("models", "offline"),
    "STACKBEAT_REPLAY_FILE": ("models", "replay", "file"),
    "STACKBEAT_SIMULATED_LATENCY": ("models", "simulated", "latency"),
}


def _read_environment(environ: Mapping[str, str], endpoints: Iterable[str]) -> dict[str, Any]:
    """The settings of the environment; an endpoint's key has a name of its own, so that no file must hold it."""
    known = {**ENVIRONMENT, **{key_name(name): ("models", "endpoints", name, "api_key") for name in endpoints}}
    for name in environ:
        if name.startswith("STACKBEAT_") and name not in known:
            raise ConfigError(f"{name} is not a setting of the daemon{_nearest(name, known)}")
    values: dict[str, Any] = {}
    for name, path in known.items():
        if environ.get(name):
            values = _merge(values, _nested(path, environ[name].strip()))
    return values


def key_name(provider: str) -> str:
    """The environment variable that holds the key of a provider or an endpoint."""
    if provider in {ProviderName.GROQ, ProviderName.OPENAI}:
        return f"{provider.upper()}_API_KEY"
    return f"STACKBEAT_{provider.upper().replace('-', '_')}_API_KEY"


def _endpoints_of(file: Mapping[str, Any]) -> Iterable[str]:
    models = file.get("models")
    endpoints = models.get("endpoints") if isinstance(models, Mapping) else None
    return [name for name in endpoints if isinstance(name, str)] if isinstance(endpoints, Mapping) else []


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
    if fault["type"] == "missing":  # its input is the whole section, secrets and all
        return f"{where} is not set"
    value = "" if path[-1] in {"api_key", "service_key"} else f" = {fault['input']!r}"
    return f"{where}{value}: {fault['msg'].removeprefix('Value error, ')}"


def _keys_beside(path: list[str]) -> Iterable[str]:
    found: Any = Config
    for part in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[part].annotation
        else:  # a table of sections: whatever its key, it holds one of them
            found = get_args(found)[-1]
    return found.model_fields.keys() if isinstance(found, type) and issubclass(found, BaseModel) else ()


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
    named = {"GROQ_BASE_URL": models.groq.base_url, "OPENAI_BASE_URL": models.openai.base_url}
    named |= {f"models.endpoints.{name}.base_url": endpoint.base_url for name, endpoint in models.endpoints.items()}
    for name, url in named.items():
        if url is not None and not _is_http_address(url):
            raise ConfigError(f"{name} is {url!r}: write an http or https address, like https://api.example.com/v1")


def _check_endpoints(models: Models) -> None:
    for name in models.endpoints:
        if name in RESERVED:
            raise ConfigError(f"models.endpoints.{name}: this name means something else; call your endpoint otherwise")


def _check_providers(models: Models) -> None:
    if models.order == "auto":
        return
    known = (*ProviderName, *models.endpoints)
    if not models.order:
        raise ConfigError(f'models.order is empty: write "auto" or name {_listed(known)}')
    for name in models.order:
        if name not in known:
            raise ConfigError(
                f'models.order: {name!r} is no provider; write "auto" or name {_listed(known)} '
                "(an endpoint of your own needs a section [models.endpoints.NAME])"
            )
    if len(set(models.order)) < len(models.order):
        raise ConfigError(f"models.order names a provider twice: {', '.join(models.order)}")
    for alone in (ProviderName.SIMULATED, ProviderName.REPLAY):
        if alone in models.order and len(models.order) > 1:
            raise ConfigError(
                f"models.order mixes the {alone} model with others: an outage would be covered up by invented replies"
            )
    if ProviderName.REPLAY in models.order and models.replay.file is None:
        raise ConfigError("models.order names replay but no recording: set STACKBEAT_REPLAY_FILE")
    for name, provider in ((ProviderName.GROQ, models.groq), (ProviderName.OPENAI, models.openai)):
        if name in models.order and not provider.has_key:
            raise ConfigError(f"models.order names {name} but {key_name(name)} is not set")


def check_offline(models: Models) -> None:
    """Raises ConfigError where STACKBEAT_OFFLINE is on and a provider is not on this machine's loopback."""
    if not models.offline:
        return
    for name in models.chain():
        provider = models.real(name)
        if provider is not None and not _is_loopback(provider.base_url):
            raise ConfigError(
                f"STACKBEAT_OFFLINE is on and {name} is at {provider.base_url or 'its own address'}: "
                "only providers on 127.0.0.1 may be asked; give it such an address or unset STACKBEAT_OFFLINE"
            )


def _is_loopback(url: str | None) -> bool:
    host = urlsplit(url).hostname if url else None
    if host is None or host == "localhost":
        return host is not None
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_prices(models: Models) -> None:
    for key in models.prices:
        provider, _, model = key.partition("/")
        if provider not in {ProviderName.GROQ, ProviderName.OPENAI, *models.endpoints} or not model:
            raise ConfigError(
                f'models.prices."{key}" prices no provider of yours: write "provider/model", or "provider/*" for all, '
                f"with {_listed((ProviderName.GROQ, ProviderName.OPENAI, *models.endpoints))}"
            )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def check_roles(models: Models, agents: Iterable[str]) -> None:
    """Raises ConfigError where a model is named for an agent that is not installed."""
    known = sorted(agents)
    for name, provider in {"groq": models.groq, "openai": models.openai, **_prefixed(models.endpoints)}.items():
        for role in provider.roles:
            if role not in known:
                raise ConfigError(
                    f"models.{name}.roles.{role}: there is no agent {role!r}{_nearest(role, known)}"
                    f" (installed are {', '.join(known)})"
                )


def check_savers(budget: Budget, agents: Iterable[str]) -> None:
    """Raises ConfigError where a step keeps an agent at work that is not installed."""
    known = sorted(agents)
    for name, step in budget.degrade.items():
        for role in step.roles or ():
            if role not in known:
                raise ConfigError(
                    f"budget.degrade.{name}.roles: there is no agent {role!r}{_nearest(role, known)}"
                    f" (installed are {', '.join(known)})"
                )


def _prefixed(endpoints: Mapping[str, Endpoint]) -> dict[str, RealProvider]:
    return {f"endpoints.{name}": endpoint for name, endpoint in endpoints.items()}
