"""What an attempt costs: by the operator's own prices, else by the table that ships with genai-prices (no network)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from itertools import product

from genai_prices import Usage, calc_price

from orchestrator.config import UNKNOWN_PRICE, Price
from orchestrator.llm.values import Reply

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """US dollars; ``known`` is false where they are the default price's, for want of a better one."""

    usd: Decimal
    known: bool = True


NOTHING = Cost(usd=Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """``own`` by "provider/model" or "provider/*" wins over the table; what neither knows has the price ``default``."""

    own: Mapping[str, Price] = field(default_factory=dict)
    default: Price = UNKNOWN_PRICE

    def cost(self, provider: str, model: str, reply: Reply) -> Cost:
        """What one reply costs, by the provider's count of its tokens."""
        if not (reply.tokens_in or reply.tokens_out):
            return NOTHING
        own = self.own.get(f"{provider}/{model}") or self.own.get(f"{provider}/*")
        if own is not None:
            return Cost(usd=_at(own, reply))
        listed = _listed(provider, model, reply)
        return Cost(usd=_at(self.default, reply), known=False) if listed is None else Cost(usd=listed)

    def most_per_million(self, provider: str, model: str) -> tuple[Decimal, Decimal]:
        """US dollars that a million tokens of a prompt, cached or not, and of a reply cost at most."""
        own = self.own.get(f"{provider}/{model}") or self.own.get(f"{provider}/*")
        if own is None and (listed := _most_listed(provider, model)) is not None:
            return listed
        price = own or self.default
        return Decimal(str(max(price.input, price.cached or 0))), Decimal(str(price.output))


@lru_cache(maxsize=1_000)
def _most_listed(provider: str, model: str) -> tuple[Decimal, Decimal] | None:
    """A long prompt may have a price of its own, for itself, for what is cached of it, and for the reply."""
    prompts, replies = [], []
    for size, cached in product((1_000, MILLION), (False, True)):
        asked = Reply(text="", finish_reason=None, tokens_in=size, tokens_cached=size if cached else 0)
        prompt = _listed(provider, model, asked)
        both = _listed(provider, model, replace(asked, tokens_out=MILLION))
        if prompt is None or both is None:
            return None
        prompts.append(prompt * MILLION / size)
        replies.append(both - prompt)
    return max(prompts), max(replies)


def _at(price: Price, reply: Reply) -> Decimal:
    cached = min(reply.tokens_cached, reply.tokens_in)
    parts = (
        (reply.tokens_in - cached, price.input),
        (cached, price.input if price.cached is None else price.cached),
        (reply.tokens_out, price.output),
    )
    return sum((tokens * Decimal(str(usd)) for tokens, usd in parts), Decimal(0)) / MILLION


def _listed(provider: str, model: str, reply: Reply) -> Decimal | None:
    usage = Usage(
        input_tokens=reply.tokens_in,
        output_tokens=reply.tokens_out,
        cache_read_tokens=min(reply.tokens_cached, reply.tokens_in),
    )
    try:
        return calc_price(usage, model, provider_id=provider).total_price
    except LookupError:
        return None
