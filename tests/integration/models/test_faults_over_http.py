"""Whatever a provider does, the documented thing happens: so many calls, this end, these rows in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from llmock.scenarios import Fail, Match
from llmock.testing import LLMockServer

from orchestrator.facts import BreakerOpened, Fact, ModelMissing, ProviderAlarm
from orchestrator.llm.catalogue import check_models
from orchestrator.llm.values import Accepted, Deferred, Provider, Rejected

from .conftest import answers, bench
from .rows import OK, ROWS, End, Row, busy, fails

pytestmark = pytest.mark.asyncio(loop_scope="module")
Providers = Mapping[str, Provider]
DOCS = Path(__file__).parents[3] / "docs" / "models.md"
ORDERS = {"groq": ("groq", "openai"), "openai": ("openai", "groq"), "box": ("box", "openai")}


@pytest.mark.parametrize(
    ("row", "first"), [pytest.param(row, sdk, id=f"{row.name}-{sdk}") for row in ROWS for sdk in row.sdks]
)
async def test_what_a_provider_does_wrong(
    llmock: LLMockServer, patient: Providers, impatient: Providers, row: Row, first: str
) -> None:
    order = ORDERS[first]
    b = bench(llmock, (impatient if row.impatient else patient)[first], patient[order[1]])
    b.do(row, first)
    answers(llmock)
    result = await b.ask()
    match row.end:
        case End.FAILED:
            assert isinstance(result, Rejected)
            assert row.ledger[0] in result.reason
        case _:
            assert result == Accepted(value="yes")
            assert b.ledger[-1].provider == (first if row.end is End.ANSWERED else order[1])
            assert b.ledger[-1].tokens_in > 0
    assert tuple(b.counted(name) for name in order) == row.calls
    assert len(b.ledger) == sum(row.calls), "the ledger holds what the server counted"
    assert [call.attempt for call in b.ledger] == list(range(1, len(b.ledger) + 1))
    for said, wanted in zip(b.errors(), row.ledger, strict=True):
        assert said == wanted or (wanted.endswith("...") and said.startswith(wanted.removesuffix("...")))
    assert [fact.provider for fact in b.facts if isinstance(fact, ProviderAlarm)] == [first] * row.alarm
    assert {fact.provider for fact in b.facts if isinstance(fact, BreakerOpened)} == ({first} if row.opens else set())


async def test_the_docs_have_the_same_table() -> None:
    text = DOCS.read_text()
    missing = [row.as_markdown() for row in ROWS if row.as_markdown() not in text.splitlines()]
    assert not missing, "\n".join(missing)
    start = text.index("| the provider |")
    assert text[start : text.index("\n\n", start)].count("\n") == len(ROWS) + 1, "a row nobody tests"


async def test_everybody_away_defers_and_later_questions_ask_nobody(llmock: LLMockServer, patient: Providers) -> None:
    b = bench(llmock, patient["groq"], patient["openai"])
    for provider, seconds in (("groq", 30), ("openai", 90)):
        b.do(Row(name="", does=(busy(seconds),), calls=(1, 1), end=End.NEXT, ledger=()), provider)
    first, second = await b.ask(), await b.ask()
    assert isinstance(first, Deferred)
    assert 29 < first.retry_s < 40, "the nearer of both"
    assert "groq 429 slow down; openai 429 slow down" in first.reason
    assert isinstance(second, Deferred)
    assert (b.counted("groq"), b.counted("openai")) == (1, 1)


async def test_three_failures_in_a_row_rest_a_model(llmock: LLMockServer, patient: Providers) -> None:
    b = bench(llmock, patient["groq"], patient["openai"])
    b.do(Row(name="", does=(fails(500),) * 3, calls=(3, 5), end=End.NEXT, ledger=()), "groq")
    answers(llmock)
    for _ in range(5):
        assert await b.ask() == Accepted(value="yes")
    assert (b.counted("groq"), b.counted("openai")) == (3, 5)
    assert b.errors().count(OK) == 5


@pytest.mark.parametrize(
    ("name", "gone"), [("groq", []), ("openai", [("openai", "gpt-6-luna")]), ("box", [("box", "tiny")])]
)
async def test_models_that_the_providers_list_lacks_are_named_and_no_list_says_nothing(
    llmock: LLMockServer, patient: Providers, name: str, gone: list[tuple[str, str]]
) -> None:
    facts: list[Fact] = []
    llmock.state.reset()
    await check_models([patient[name]], facts.append)
    assert [(fact.provider, fact.model) for fact in facts if isinstance(fact, ModelMissing)] == gone
    llmock.state.scenarios.add(Fail(403, times=None, match=Match(path="*/models")))
    facts.clear()
    await check_models([patient[name]], facts.append)
    assert facts == []
