"""`stackbeat up` with keys of real providers, served by llmock over real HTTP: order, fall-over, outage, recovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llmock.scenarios import Fail, Match
from llmock.testing import LLMockServer
from processes import Stack, eventually, make_workdir, running_stack

from orchestrator.cli.embedded import discard_data

SETTLED_WITHIN_S = 20


@pytest.fixture(scope="module")
def provider() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.fixture(scope="module")
def keyed(provider: LLMockServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running `up` of somebody who set both keys."""
    folder = make_workdir(tmp_path_factory.mktemp("keyed"))
    settings = {
        "GROQ_API_KEY": "k",
        # The Groq SDK adds /openai/v1 to its base address by itself.
        "GROQ_BASE_URL": provider.base_url("groq").removesuffix("/openai/v1"),
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": provider.base_url("openai"),
        "STACKBEAT_CADENCE_S": "2",
    }
    try:
        with running_stack(folder, environment=settings) as stack:
            yield stack
    finally:
        discard_data(folder)


@pytest.fixture(autouse=True)
def healthy(provider: LLMockServer) -> Iterator[None]:
    provider.state.reset()
    yield
    provider.state.reset()


def down(provider: LLMockServer, *names: str) -> None:
    for name in names:
        provider.state.scenarios.add(Fail(503, times=None, match=Match(provider=name)))


def calls_of(stack: Stack, stack_id: str) -> list[str]:
    """The calls of a stack's first run, in order, each as "groq 503" or "openai ok"."""
    rows = stack.sql(
        "select string_agg(provider || ' ' || coalesce(left(error, 3), 'ok'), ', ' order by attempt) from llm_calls "
        f"where stack_id = '{stack_id}' and not simulated group by run_id order by min(created_at) limit 1"
    )
    return rows[0][0].split(", ") if rows else []


def row_of(stack: Stack, stack_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in stack.json("ls") if row["id"] == stack_id)
    return found


def test_real_keys_do_not_play_the_demo_stacks(keyed: Stack) -> None:
    assert keyed.started["simulated"] is False
    assert keyed.started["played"] == []
    assert {row["execution_state"] for row in keyed.json("ls")} == {"idle"}
    assert keyed.sql("select count(*) from llm_calls") == [["0"]]


def test_groq_503_falls_over_to_openai(keyed: Stack, provider: LLMockServer) -> None:
    down(provider, "groq")
    made = keyed.json("create", "Falls Over", "--idea", "A quiz about rivers", "--play")
    calls = eventually(lambda: calls_of(keyed, made["id"]), within=SETTLED_WITHIN_S, what="a run's calls")
    assert set(calls[:-1]) == {"groq 503"}
    assert calls[-1] == "openai ok"
    keyed.json("stop", made["id"])


def test_an_outage_is_seen_and_over_when_a_provider_is_back(keyed: Stack, provider: LLMockServer) -> None:
    down(provider, "groq", "openai")
    made = keyed.json("create", "Waits", "--idea", "A map of tides", "--play")
    reason = eventually(
        lambda: (said := row_of(keyed, made["id"])["wait_reason"] or "").startswith("waiting for model") and said,
        within=SETTLED_WITHIN_S,
        what="the reason why the stack waits",
    )
    assert "503" in reason
    assert keyed.json("show", made["id"])["execution_state"] == "running"
    assert keyed.sql(f"select count(*) from agent_traces where stack_id = '{made['id']}'") == [["0"]]

    provider.state.reset()
    worked = f"select count(*) from llm_calls where stack_id = '{made['id']}' and error is null and not simulated"
    eventually(lambda: keyed.sql(worked) != [["0"]], within=60, what="a call that works")
    keyed.json("stop", made["id"])
