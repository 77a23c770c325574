"""Values that travel between the chain, the providers and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

T = TypeVar("T")
Tier = Literal["small", "large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What an agent asks, independent of who answers; ``role`` names the schema on the wire."""

    role: str
    system: str
    user: str
    output: type[BaseModel]
    temperature: float
    max_output_tokens: int
    tier: Tier
    ask_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One attempt, ready for a provider."""

    role: str
    tier: Tier
    turns: tuple[Turn, ...]
    schema: Mapping[str, Any]
    temperature: float
    max_output_tokens: int
    timeout_s: float
    ask_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, before anybody believed it."""

    text: str
    finish_reason: str | None
    refusal: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    limits: tuple[Limit, ...] = ()


class Fault(StrEnum):
    """What a failed attempt means for the rest of the chain."""

    AWAY = "away"  # busy, broken or unreachable: another provider may do
    DENIED = "denied"  # key, permission or model name: an operator must act
    GARBLED = "garbled"  # the provider itself found the reply unfit: repairable
    BAD_REQUEST = "bad_request"  # our mistake: asking elsewhere would hide it


class ProviderError(Exception):
    """An attempt that brought no reply."""

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        retry_after_s: float | None = None,
        text: str = "",
        limits: tuple[Limit, ...] = (),
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after_s = retry_after_s
        self.text = text
        self.limits = limits


class Provider(Protocol):
    """One place that answers prompts; raises ProviderError and nothing else."""

    @property
    def name(self) -> str: ...

    @property
    def simulated(self) -> bool: ...

    @property
    def timeout_s(self) -> float: ...

    def model(self, tier: Tier, role: str) -> str:
        """The model that answers this agent's question of this tier."""

    async def complete(self, request: Request) -> Reply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way to have a prompt answered: by whom, about how many tokens it takes, how many dollars at most.

    ``metered``: it may have limits that nobody knows before its first answer.
    """

    provider: str
    model: str
    tokens: int
    usd: Decimal
    metered: bool = True

    def as_wire(self) -> dict[str, Any]:
        wire = {"provider": self.provider, "model": self.model, "tokens": self.tokens, "usd": str(self.usd)}
        return wire | {"metered": True} if self.metered else wire


LimitKind = Literal["requests per minute", "tokens per minute", "requests per day", "tokens per day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a provider says of one of its limits: the whole of it, and what is left now."""

    provider: str
    model: str
    kind: LimitKind
    capacity: float
    remaining: float

    def as_wire(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "model": self.model,
            "kind": self.kind,
            "capacity": self.capacity,
            "remaining": self.remaining,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt as the ledger keeps it, paid or not, good or bad."""

    id: str
    attempt: int
    provider: str
    model: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cost_usd: Decimal
    latency_ms: int
    finish_reason: str | None
    error: str | None
    simulated: bool
    ask_hash: str
    reply: str | None

    def as_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "attempt": self.attempt,
            "provider": self.provider,
            "model": self.model,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "cost_usd": str(self.cost_usd),
            "latency_ms": self.latency_ms,
            "finish_reason": self.finish_reason,
            "error": self.error,
            "simulated": self.simulated,
            "ask_hash": self.ask_hash,
            "reply": self.reply,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Generic[T]):
    """A reply that passed every check, as the caller's own value."""

    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Models answered, but with nothing usable; the run failed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """No model could be asked; nothing is anybody's fault and the work waits."""

    reason: str
    retry_s: float


class UnacceptableError(Exception):
    """Raised by the caller's check: the reply fits the schema but cannot be used; the text tells the model why."""
