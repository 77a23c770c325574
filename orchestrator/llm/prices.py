"""What an attempt costs, from the maintained price table that ships with genai-prices (no network)."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage, calc_price

from orchestrator.llm.values import Reply


def cost_usd(provider: str, model: str, reply: Reply) -> Decimal | None:
    """The price of one reply in US dollars, or None where the table does not know the model."""
    return _price(provider, model, reply.tokens_in, reply.tokens_out, min(reply.tokens_cached, reply.tokens_in))


@lru_cache(maxsize=1_000)
def usd_per_million(provider: str, model: str) -> tuple[Decimal, Decimal] | None:
    """What a million tokens of a prompt and of a reply cost, uncached; None where the table does not know the model.

    Long prompts may have a price of their own; the dearer of both counts.
    """
    prices = [_price(provider, model, size, 0, 0) for size in (1_000, 1_000_000)]
    reply = _price(provider, model, 0, 1_000_000, 0)
    if reply is None or prices[0] is None or prices[1] is None:
        return None
    return max(prices[0] * 1_000, prices[1]), reply


def _price(provider: str, model: str, tokens_in: int, tokens_out: int, cached: int) -> Decimal | None:
    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_tokens=cached)
    try:
        return calc_price(usage, model, provider_id=provider).total_price
    except LookupError:
        return None
