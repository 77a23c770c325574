"""The two official SDKs behind one port: their own retries off, one injected httpx client each.

The SDKs share the chat-completions shape but no error class, so each error tree is translated here, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any

import httpx

from orchestrator.config import ConfigError, Models, ProviderName, RealProvider, check_offline
from orchestrator.connections import kept
from orchestrator.llm.limits import read_limits
from orchestrator.llm.replay import ReplayProvider, read_recording
from orchestrator.llm.simulated import MODEL, Simulate, SimulatedTransport
from orchestrator.llm.values import Fault, Limit, Provider, ProviderError, Reply, Request, Tier
from orchestrator.plain_text import plain_text

_NOT_JSON = "answered with text that is not JSON; check its base URL"
AWAY_STATUSES = frozenset({408, 409, 429, 498})
DENIED_STATUSES = frozenset({401, 403, 404})
MOST_TOKENS = 1_000_000_000  # beyond it a count is nonsense, and no integer column takes it
# Providers name the customer in their errors (organization, project, part of the key), and everybody sees wait reasons.
_CUSTOMER = re.compile(r"\b(?:sk|gsk|org|proj)[-_][\w*.…-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """An SDK's client and its error tree. Both offer the same call; no common type exists for either."""

    client: Any
    status_error: type[Exception]
    timeout_error: type[Exception]
    error: type[Exception]


class ChatProvider:
    """A provider that speaks chat completions through an SDK's client."""

    def __init__(self, sdk: Sdk, *, name: str, settings: RealProvider, simulated: bool = False) -> None:
        self._sdk = sdk
        self._settings = settings
        self._name = name
        self._simulated = simulated

    @property
    def name(self) -> str:
        return self._name

    @property
    def simulated(self) -> bool:
        return self._simulated

    @property
    def timeout_s(self) -> float:
        return self._settings.timeout_s

    @property
    def models(self) -> frozenset[str]:
        """Every model that may be asked for."""
        return frozenset({self._settings.small, self._settings.large, *self._settings.roles.values()})

    def model(self, tier: Tier, role: str) -> str:
        """The model for an agent's question: the one its name has, else the tier's."""
        settings = self._settings
        return settings.roles.get(role) or (settings.small if tier == "small" else settings.large)

    async def list_models(self) -> frozenset[str]:
        """The names of all models there are; raises whatever the SDK raises."""
        listed = await self._sdk.client.models.list()
        return frozenset(str(model.id) for model in listed.data)

    async def complete(self, request: Request) -> Reply:
        try:
            raw = await self._sdk.client.chat.completions.with_raw_response.create(**self._arguments(request))
            parsed = raw.parse()
            completion = (
                await parsed if isawaitable(parsed) else parsed
            )  # the one SDK's is a coroutine, the other's is not
        except self._sdk.status_error as error:
            raise self._from_sdk(error, request) from None
        except self._sdk.timeout_error:
            raise ProviderError(Fault.AWAY, f"did not answer within {request.timeout_s:.3g} s") from None
        except (self._sdk.error, httpx.HTTPError) as error:
            cause = error.__cause__ or error
            detail = _short(str(cause)) or type(cause).__name__
            raise ProviderError(Fault.AWAY, f"cannot be reached: {detail}") from None
        except json.JSONDecodeError:
            raise ProviderError(Fault.AWAY, _NOT_JSON) from None
        except (ValueError, TypeError) as error:
            detail = _short(str(error))
            raise ProviderError(Fault.AWAY, f"answered something that is not its protocol: {detail}") from None
        return replace(_reply(completion), limits=self._limits(request, raw.headers))

    def _from_sdk(self, error: Any, request: Request) -> ProviderError:
        headers = error.response.headers
        found = from_status(error.response.status_code, error.body, headers, str(error))
        found.limits = self._limits(request, headers)
        return found

    def _limits(self, request: Request, headers: Mapping[str, str]) -> tuple[Limit, ...]:
        return read_limits(self._name, self.model(request.tier, request.role), headers)

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self.model(request.tier, request.role),
            "messages": [{"role": turn.role, "content": turn.content} for turn in request.turns],
            self._settings.length_field: request.max_output_tokens,
            "timeout": request.timeout_s,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": request.role, "strict": True, "schema": request.schema},
            },
        }
        if self._settings.send_temperature:
            arguments["temperature"] = request.temperature
        if self._settings.reasoning_effort is not None:
            arguments["reasoning_effort"] = self._settings.reasoning_effort
        return arguments


def from_status(status: int, body: object, headers: Mapping[str, str], text: str) -> ProviderError:
    """What an HTTP error answer means for the chain."""
    detail = body.get("error", body) if isinstance(body, dict) else None
    detail = detail if isinstance(detail, dict) else {}
    message = f"{status} {_short(str(detail.get('message') or text))}"
    if status == 400 and detail.get("code") == "json_validate_failed":
        return ProviderError(Fault.GARBLED, message, text=plain_text(str(detail.get("failed_generation") or "")))
    if status in AWAY_STATUSES or status >= 500:
        return ProviderError(Fault.AWAY, message, retry_after_s=_retry_after(headers))
    if status in DENIED_STATUSES:
        return ProviderError(Fault.DENIED, message)
    return ProviderError(Fault.BAD_REQUEST, message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


def _reply(completion: Any) -> Reply:
    """Read the fields we use; a fake or foreign server may leave any of them out or send anything in their place."""
    if isinstance(completion, str):  # the SDKs hand on the body as it came where it is not said to be JSON
        raise ProviderError(Fault.AWAY, _NOT_JSON)
    choices = getattr(completion, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message, usage = getattr(choice, "message", None), getattr(completion, "usage", None)
    if message is None:
        raise ProviderError(Fault.AWAY, "answered without a choice")
    details = getattr(usage, "prompt_tokens_details", None)
    return Reply(
        text=_text(getattr(message, "content", None)) or "",
        finish_reason=_text(getattr(choice, "finish_reason", None)),
        refusal=_text(getattr(message, "refusal", None)),
        tokens_in=_count(getattr(usage, "prompt_tokens", None)),
        tokens_out=_count(getattr(usage, "completion_tokens", None)),
        tokens_cached=_count(getattr(details, "cached_tokens", None)),
    )


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ProviderError(Fault.AWAY, f"answered with a {type(value).__name__} where its protocol has a text")
    return None if value is None else plain_text(value)


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value <= MOST_TOKENS else 0


def _short(text: str) -> str:
    return _CUSTOMER.sub("[hidden]", plain_text(" ".join(text.split())))[:300]


def _http(
    settings: RealProvider, transport: httpx.AsyncBaseTransport | None = None, *, follow_redirects: bool = True
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=httpx.Timeout(settings.timeout_s, connect=5.0),
        limits=kept(settings.max_connections),
        transport=transport,
        follow_redirects=follow_redirects,
    )


async def _nothing_to_close() -> None:
    pass


def _build(name: str, models: Models, simulate: Simulate) -> tuple[Provider, Callable[[], Awaitable[None]]]:
    """A provider, and what closes its connections."""
    if name == ProviderName.REPLAY and models.replay.file is not None:
        file = models.replay.file
        return ReplayProvider(read_recording(file), source=str(file)), _nothing_to_close
    settings = models.real(name)
    if settings is not None:
        http = _http(settings, follow_redirects=not models.offline)  # which could lead anywhere
        open_sdk = groq_sdk if name == ProviderName.GROQ else openai_sdk
        sdk = open_sdk(settings.shown_key, settings.base_url, http)
        return ChatProvider(sdk, name=name, settings=settings), http.aclose
    if name == ProviderName.SIMULATED:
        latency = models.simulated.latency
        settings = RealProvider(small=MODEL, large=MODEL, timeout_s=latency.high + 60)
        http = _http(settings, SimulatedTransport(simulate, low=latency.low, high=latency.high))
        sdk = openai_sdk("simulated", "http://simulated.invalid/v1", http)
        return ChatProvider(sdk, name=name, settings=settings, simulated=True), http.aclose
    raise ConfigError(f"models.order: {name!r} is no provider")


# The SDKs are imported by whoever uses them: each takes seconds and tens of megabytes.


def groq_sdk(key: str, base_url: str | None, http: httpx.AsyncClient) -> Sdk:
    import groq

    return Sdk(
        client=groq.AsyncGroq(api_key=key, base_url=base_url, max_retries=0, http_client=http),
        status_error=groq.APIStatusError,
        timeout_error=groq.APITimeoutError,
        error=groq.APIError,
    )


def openai_sdk(key: str, base_url: str | None, http: httpx.AsyncClient) -> Sdk:
    import openai

    # The annotation names the SDK's own fork of httpx; it takes an httpx client at run time and maps its errors.
    client = openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, http_client=http)  # type: ignore[arg-type]
    return Sdk(
        client=client,
        status_error=openai.APIStatusError,
        timeout_error=openai.APITimeoutError,
        error=openai.APIError,
    )


def import_sdks(names: Iterable[str]) -> None:
    """Import what these providers need, down to the first call's modules, for callers with time before they need it."""
    if ProviderName.GROQ in names:
        import groq.resources.chat.completions  # noqa: F401
    if set(names) - {ProviderName.GROQ, ProviderName.REPLAY}:
        import openai.resources.chat.completions  # noqa: F401


@asynccontextmanager
async def open_providers(models: Models, simulate: Simulate) -> AsyncIterator[tuple[Provider, ...]]:
    """The configured providers in their order, their connections closed afterwards.

    Raises ConfigError where STACKBEAT_OFFLINE forbids one of them, and RecordingError.
    """
    check_offline(models)
    built = [_build(name, models, simulate) for name in models.chain()]
    try:
        yield tuple(provider for provider, _ in built)
    finally:
        for _, close in built:
            await close()
