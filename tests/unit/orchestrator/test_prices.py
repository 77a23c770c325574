"""What calls cost, and that no budget is blind."""

from __future__ import annotations

import itertools
from decimal import Decimal

import httpx
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestrator.config import Endpoint, Price
from orchestrator.facts import CallAttempted, Fact, PriceUnknown
from orchestrator.llm.chain import Chain
from orchestrator.llm.prices import MILLION, Prices
from orchestrator.llm.providers import ChatProvider, openai_sdk
from orchestrator.llm.values import Call, Prompt, Reply

REPLY = Reply(text="x", finish_reason="stop", tokens_in=1_000_000, tokens_out=1_000_000, tokens_cached=400_000)
OWN = {
    "groq/openai/gpt-oss-20b": Price(input=1, output=2, cached=0.5),
    "box/*": Price(input=0, output=0),
    "box/dear": Price(input=3, output=3),
}


@pytest.mark.parametrize(
    ("prices", "provider", "model", "usd", "known"),
    [
        (Prices(), "groq", "openai/gpt-oss-20b", "0.36", True),  # 0.6 at 0.075, 0.4 cached at 0.0375, 1 at 0.30
        (Prices(own=OWN), "groq", "openai/gpt-oss-20b", "2.8", True),
        (Prices(own=OWN), "groq", "openai/gpt-oss-120b", "0.72", True),
        (Prices(own=OWN), "box", "anything", "0", True),
        (Prices(own=OWN), "box", "dear", "6", True),
        (Prices(), "box", "anything", "12", False),
        (Prices(default=Price(input=1, output=1, cached=0)), "groq", "brand-new", "1.6", False),
    ],
)
def test_own_prices_go_before_the_table_and_the_default_is_for_the_rest(
    prices: Prices, provider: str, model: str, usd: str, known: bool
) -> None:
    cost = prices.cost(provider, model, REPLY)
    assert (cost.usd, cost.known) == (Decimal(usd), known)


def test_a_provider_that_counts_more_cached_tokens_than_there_were_costs_no_less_than_nothing() -> None:
    odd = Reply(text="x", finish_reason="stop", tokens_in=10, tokens_out=0, tokens_cached=1_000_000)
    assert Prices(default=Price(input=1, output=1)).cost("box", "m", odd).usd == Decimal("0.00001")


counts = st.integers(min_value=0, max_value=2_000_000)
usds = st.floats(min_value=0, max_value=100)


@given(st.builds(Price, input=usds, output=usds, cached=st.none() | usds), counts, counts, counts)
@example(Price(input=1, output=1, cached=3), 1_000, 0, 1_000)
def test_a_reservation_is_never_below_what_the_call_can_cost(price: Price, asked: int, said: int, cached: int) -> None:
    for prices in (Prices(own={"box/m": price}), Prices(default=price)):
        prompt, reply = prices.most_per_million("box", "m")
        most = (asked * prompt + said * reply) / MILLION
        told = Reply(text="x", finish_reason="stop", tokens_in=asked, tokens_out=said, tokens_cached=cached)
        assert prices.cost("box", "m", told).usd <= most


@pytest.mark.parametrize("provider", ["groq", "openai"])
def test_nor_is_it_below_the_price_table_where_long_prompts_or_cached_ones_are_dearer(provider: str) -> None:
    prices = Prices()
    models = next(each.models for each in get_snapshot().providers if each.id == provider)
    assert len(models) > 20
    for model, asked, share in itertools.product(models, (1_000, 250_000, 1_000_000), (0, 1)):
        prompt, reply = prices.most_per_million(provider, model.id)
        told = Reply(text="x", finish_reason="stop", tokens_in=asked, tokens_out=1_000, tokens_cached=share * asked)
        assert prices.cost(provider, model.id, told).usd <= (asked * prompt + 1_000 * reply) / MILLION, model.id


class Word(BaseModel):
    word: str


async def test_an_unknown_price_is_said_once_and_counted_every_time() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"word": "a"}'}}
        usage = {"prompt_tokens": 500_000, "completion_tokens": 0, "total_tokens": 500_000}
        return httpx.Response(200, json={"id": "x", "object": "c", "choices": [choice], "usage": usage})

    prompt = Prompt(
        role="planner",
        system="s",
        user="u",
        output=Word,
        temperature=0,
        max_output_tokens=9,
        tier="small",
        ask_hash="h",
    )
    facts: list[Fact] = []
    ledger: list[Call] = []
    settings = Endpoint(base_url="http://box/v1", small="m", large="m")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        provider = ChatProvider(openai_sdk("k", settings.base_url, http), name="box", settings=settings)
        chain = Chain(
            [provider],
            deadline_s=9,
            patience_s=0,
            observer=facts.append,
            prices=Prices(default=Price(input=4, output=8)),
        )
        for _ in range(3):
            await chain.complete(prompt, lambda reply: reply, ledger)
    assert [call.cost_usd for call in ledger] == [Decimal(2)] * 3
    assert [fact for fact in facts if isinstance(fact, PriceUnknown)] == [
        PriceUnknown(provider="box", model="m", input_usd=4, output_usd=8)
    ]
    assert [fact.priced for fact in facts if isinstance(fact, CallAttempted)] == [False] * 3
