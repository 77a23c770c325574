"""The one place where models are asked: order, deadlines, retries, fallback, breaker, ledger.

providers in order -> breaker of the model -> attempt with a deadline -> ledger -> checks -> at most one repair turn
-> next provider -> a typed result. The SDKs' own retries are off. Which errors fall over is decided by
``values.Fault``: away (408, 409, 429, 498, >= 500, connection, time-out) and garbled or truncated replies do; a denied
provider raises an alarm and is passed over; any other bad request is our bug and ends the run where it can be seen.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, assert_never

import anyio
from pydantic import BaseModel, ValidationError

from orchestrator.facts import CallAttempted, Observer, PriceUnknown, ProviderAlarm
from orchestrator.llm.estimate import ReplyLengths, most_tokens_in, tokens_in
from orchestrator.llm.gates import Gates, Key
from orchestrator.llm.prices import MILLION, NOTHING, Cost, Prices
from orchestrator.llm.schema import strict_schema
from orchestrator.llm.values import (
    Accepted,
    Call,
    Deferred,
    Fault,
    Limit,
    Offer,
    Prompt,
    Provider,
    ProviderError,
    Rejected,
    Reply,
    Request,
    T,
    Tier,
    Turn,
    UnacceptableError,
)

SHORTEST_WAIT_S = 5.0
GOOD_FINISHES = frozenset({"stop", "eos"})
REPAIR_EXCERPT = 4_000


@dataclass(slots=True, kw_only=True)
class _Conversation(Generic[T]):
    """One logical call as it goes: what was said, what may still be tried."""

    prompt: Prompt
    check: Callable[[BaseModel], T]
    ledger: list[Call]
    deadline: float
    turns: tuple[Turn, ...] = ()
    may_repair: bool = True
    unfit: str | None = None
    away: list[str] = field(default_factory=list)
    size: int = 0
    allowance_usd: Decimal | None = None

    def affords(self, cost_usd: Decimal) -> bool:
        """Whether one more attempt of at most this cost fits; the first one is what the allowance was made for."""
        if self.allowance_usd is None or not self.ledger:
            return True
        return sum((call.cost_usd for call in self.ledger), cost_usd) <= self.allowance_usd


class _UnfitError(Exception):
    """This attempt brought nothing usable; ``repairable`` if telling the model why may help."""

    def __init__(self, reason: str, *, text: str = "", repairable: bool = True) -> None:
        super().__init__(reason)
        self.text = text
        self.repairable = repairable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    provider: Provider
    request: Request
    key: Key
    ledger: list[Call]
    started: float


class Chain:
    """Asks providers in order. Of the past it only knows the breakers; safe for any number of calls at once."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        deadline_s: float,
        patience_s: float,
        observer: Observer,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._providers = tuple(providers)
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._observer = observer
        self._clock = clock
        self._uniform = random.uniform if chance is None else chance.uniform
        self._prices = prices or Prices()
        self._unpriced: set[Key] = set()
        self._gates = Gates(observer, clock)
        self._tiers: dict[str, Tier] = {}
        self._lengths = ReplyLengths()
        self._limits: dict[tuple[str, str, str], Limit] = {}

    @property
    def simulated(self) -> bool:
        return all(provider.simulated for provider in self._providers)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(provider.name for provider in self._providers)

    def resting(self, roles: Iterable[str]) -> Deferred | None:
        """Why none of these agents has anybody to ask now, and until when; None if one may have.

        Saves beginning hopeless runs. Which model an agent asks is known once it has asked.
        """
        if self._gates.all_quiet:
            return None
        nearest: dict[str, float] = {}
        for role in roles:
            tier = self._tiers.get(role)
            if tier is None:
                return None
            for provider in self._providers:
                key = provider.name, provider.model(tier, role)
                rest, why = self._gates.rest_s(key), self._gates.why(key)
                if rest <= 0:
                    return None
                nearest[why] = min(rest, nearest.get(why, rest))
        return Deferred(reason="; ".join(nearest), retry_s=min(nearest.values())) if nearest else None

    def offers(self, *, role: str, tier: Tier, size: int, max_output_tokens: int) -> tuple[Offer, ...]:
        """Who could answer a prompt of ``size`` bytes now, first choice first, and what that would take.

        Each is for the dearest of them, twice: a reply may need one repair, and another provider may have to step in.
        """
        found = []
        for provider in self._providers:
            key = provider.name, provider.model(tier, role)
            if self._gates.rest_s(key) > 0:
                continue
            tokens = tokens_in(size) + self._lengths.expect((role, *key), max_output_tokens)
            found.append((*key, tokens, not provider.simulated))
        most = max(
            (
                self._most_usd(each, each.model(tier, role), size=size, max_output_tokens=max_output_tokens)
                for each in self._providers
            ),
            default=Decimal(0),
        )
        return tuple(
            Offer(provider=name, model=model, tokens=tokens, usd=2 * most, metered=metered)
            for name, model, tokens, metered in found
        )

    def take_limits(self) -> tuple[Limit, ...]:
        """What providers have said of their limits since the last time, the newest of each."""
        heard, self._limits = self._limits, {}
        return tuple(heard.values())

    async def complete(
        self,
        prompt: Prompt,
        check: Callable[[BaseModel], T],
        ledger: list[Call],
        *,
        first: str | None = None,
        allowance_usd: Decimal | None = None,
    ) -> Accepted[T] | Rejected | Deferred:
        """Ask until a reply passes ``check`` (which may raise UnacceptableError), within the total deadline.

        Providers before ``first`` in the order are left out: their quota is used up. Beyond ``allowance_usd`` no second
        attempt is made.

        Every attempt is appended to ``ledger`` before it is judged, so a caller that is cancelled or that finds a bug
        still knows what was spent. Exceptions of ``check`` other than UnacceptableError pass through.
        """
        talk = _Conversation(
            prompt=prompt,
            check=check,
            ledger=ledger,
            deadline=self._clock() + self._deadline_s,
            turns=(Turn(role="system", content=prompt.system), Turn(role="user", content=prompt.user)),
            size=len(prompt.system.encode()) + len(prompt.user.encode()),
            allowance_usd=allowance_usd,
        )
        self._tiers[prompt.role] = prompt.tier
        for provider in self._from(first):
            key = provider.name, provider.model(prompt.tier, prompt.role)
            if self._gates.rest_s(key) > 0:
                talk.away.append(self._gates.why(key))
                continue
            result = await self._ask_one(provider, key, talk)
            if result is not None:
                return result
        if talk.unfit is not None:
            return Rejected(reason=talk.unfit)
        return self._defer(talk)

    def _from(self, first: str | None) -> Sequence[Provider]:
        names = self.names
        return self._providers[names.index(first) :] if first in names else self._providers

    def _most_usd(self, provider: Provider, model: str, *, size: int, max_output_tokens: int) -> Decimal:
        """More than one attempt can cost."""
        if provider.simulated:
            return Decimal(0)
        prompt, reply = self._prices.most_per_million(provider.name, model)
        return (most_tokens_in(size) * prompt + max_output_tokens * reply) / MILLION

    def _defer(self, talk: _Conversation[T]) -> Deferred:
        prompt = talk.prompt
        rest = min(
            self._gates.rest_left_s((provider.name, provider.model(prompt.tier, prompt.role)))
            for provider in self._providers
        )
        wait = max(rest, SHORTEST_WAIT_S) * self._uniform(1.0, 1.25)
        return Deferred(reason="; ".join(talk.away) or "no time left for the model", retry_s=wait)

    async def _ask_one(self, provider: Provider, key: Key, talk: _Conversation[T]) -> Accepted[T] | Rejected | None:
        """One provider's turn; None means: go on to the next."""
        retried = False
        while talk.deadline > self._clock():
            most = talk.prompt.max_output_tokens
            if not talk.affords(self._most_usd(provider, key[1], size=talk.size, max_output_tokens=most)):
                talk.away.append(f"{provider.name} not asked again: this run has spent what it may")
                return None
            try:
                return Accepted(value=await self._attempt(provider, key, talk))
            except _UnfitError as unfit:
                talk.unfit = f"{provider.name}: {unfit}"
                if not (unfit.repairable and talk.may_repair):
                    return None
                self._add_repair_turn(talk, unfit)
            except ProviderError as error:
                if error.fault is Fault.BAD_REQUEST:
                    return Rejected(reason=f"{provider.name} refused the request: {error}")
                wait = error.retry_after_s
                if error.fault is Fault.DENIED or retried or wait is None or not self._fits(wait, talk):
                    talk.away.append(f"{provider.name} {error}")
                    return None
                retried = True
                await anyio.sleep(wait + self._uniform(0, 0.1 * wait + 0.05))
        talk.away.append(f"{provider.name} not asked: the time for this reply was used up")
        return None

    def _fits(self, wait_s: float, talk: _Conversation[T]) -> bool:
        return wait_s <= self._patience_s and self._clock() + wait_s < talk.deadline

    @staticmethod
    def _add_repair_turn(talk: _Conversation[T], unfit: _UnfitError) -> None:
        talk.may_repair = False
        talk.turns = (
            *talk.turns,
            Turn(role="assistant", content=unfit.text[:REPAIR_EXCERPT] or "(nothing)"),
            Turn(
                role="user", content=f"That reply cannot be used: {unfit}. Answer the first message again, corrected."
            ),
        )

    async def _attempt(self, provider: Provider, key: Key, talk: _Conversation[T]) -> T:
        prompt = talk.prompt
        timeout = min(provider.timeout_s, talk.deadline - self._clock())
        request = Request(
            role=prompt.role,
            tier=prompt.tier,
            turns=talk.turns,
            schema=strict_schema(prompt.output),
            temperature=prompt.temperature,
            max_output_tokens=prompt.max_output_tokens,
            timeout_s=timeout,
            ask_hash=prompt.ask_hash,
        )
        reply = await self._call(
            _Attempt(provider=provider, request=request, key=key, ledger=talk.ledger, started=self._clock())
        )
        parsed = _read(reply, prompt.output)
        try:
            return talk.check(parsed)
        except UnacceptableError as error:
            raise _UnfitError(str(error), text=reply.text) from None

    async def _call(self, attempt: _Attempt) -> Reply:
        """One attempt against one provider: deadline, breaker and ledger."""
        timeout_s = attempt.request.timeout_s
        self._gates.enter(attempt.key, timeout_s)
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + timeout_s) as scope:
                reply = await attempt.provider.complete(attempt.request)
            if scope.cancelled_caught:
                raise ProviderError(Fault.AWAY, f"did not answer within {timeout_s:.3g} s")
        except ProviderError as error:
            self._note_failure(attempt, error)
            if error.fault is Fault.GARBLED:
                raise _UnfitError(str(error), text=error.text) from None
            raise
        except anyio.get_cancelled_exc_class():
            self._gates.leave(attempt.key)
            self._note(attempt, Reply(text="", finish_reason=None), "cancelled", "cancelled")
            raise
        self._gates.answered(attempt.key)
        self._note(attempt, reply, "answered", None)
        self._hear(reply.limits)
        self._lengths.note((attempt.request.role, *attempt.key), reply.tokens_out)
        return reply

    def _hear(self, limits: tuple[Limit, ...]) -> None:
        for limit in limits:
            self._limits[limit.provider, limit.model, limit.kind] = limit

    def _note_failure(self, attempt: _Attempt, error: ProviderError) -> None:
        self._hear(error.limits)
        self._note(attempt, Reply(text=error.text, finish_reason=None), error.fault, str(error))
        key = attempt.key
        match error.fault:
            case Fault.AWAY:
                self._gates.failed(key, str(error), since=attempt.started, retry_after_s=error.retry_after_s)
            case Fault.DENIED:
                self._observer(ProviderAlarm(provider=key[0], model=key[1], error=str(error)))
                self._gates.denied(key, str(error))
            case Fault.GARBLED | Fault.BAD_REQUEST:
                self._gates.answered(key)
            case _:
                assert_never(error.fault)

    def _note(self, attempt: _Attempt, reply: Reply, outcome: str, error: str | None) -> None:
        provider, ledger, request = attempt.provider, attempt.ledger, attempt.request
        model = provider.model(request.tier, request.role)
        cost = self._cost(provider, model, reply)
        call = Call(
            id=str(uuid.uuid4()),
            attempt=len(ledger) + 1,
            provider=provider.name,
            model=model,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            tokens_cached=reply.tokens_cached,
            cost_usd=cost.usd,
            latency_ms=round((self._clock() - attempt.started) * 1_000),
            finish_reason=reply.finish_reason,
            error=error,
            simulated=provider.simulated,
            ask_hash=request.ask_hash,
            reply=reply.text or None,
        )
        ledger.append(call)
        self._observer(
            CallAttempted(
                role=request.role,
                provider=call.provider,
                model=model,
                attempt=call.attempt,
                outcome=outcome,
                latency_ms=call.latency_ms,
                tokens_in=call.tokens_in,
                tokens_out=call.tokens_out,
                cost_usd=float(call.cost_usd),
                priced=cost.known,
                error=error,
            )
        )

    def _cost(self, provider: Provider, model: str, reply: Reply) -> Cost:
        if provider.simulated:
            return NOTHING
        cost = self._prices.cost(provider.name, model, reply)
        if not cost.known and (provider.name, model) not in self._unpriced:
            self._unpriced.add((provider.name, model))
            price = self._prices.default
            self._observer(
                PriceUnknown(provider=provider.name, model=model, input_usd=price.input, output_usd=price.output)
            )
        return cost


def _read(reply: Reply, output: type[BaseModel]) -> BaseModel:
    """Judge one reply's form; raises _UnfitError."""
    if reply.refusal:
        raise _UnfitError(f"the model refused: {reply.refusal[:300]}", repairable=False)
    if reply.finish_reason == "length":
        raise _UnfitError("the reply was cut off at the token limit; be shorter", text=reply.text)
    if not reply.text.strip():
        raise _UnfitError("the reply was empty")
    if reply.finish_reason not in GOOD_FINISHES:
        raise _UnfitError(f"the reply ended with {reply.finish_reason or 'no finish reason'}", text=reply.text)
    try:
        return output.model_validate_json(reply.text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the reply"
        raise _UnfitError(f"{where}: {fault['msg']}", text=reply.text) from None
