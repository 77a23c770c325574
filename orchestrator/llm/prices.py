"""What an attempt costs, from the maintained price table that ships with genai-prices (no network)."""

from __future__ import annotations

from decimal import Decimal

from genai_prices import Usage, calc_price

from orchestrator.llm.values import Reply


def cost_usd(provider: str, model: str, reply: Reply) -> Decimal | None:
    """The price of one reply in US dollars, or None where the table does not know the model."""
    usage = Usage(
        input_tokens=reply.tokens_in,
        output_tokens=reply.tokens_out,
        cache_read_tokens=min(reply.tokens_cached, reply.tokens_in),
    )
    try:
        return calc_price(usage, model, provider_id=provider).total_price
    except LookupError:
        return None
