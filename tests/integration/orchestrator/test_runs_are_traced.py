"""The spans of a real daemon's runs, recorded in memory by OpenTelemetry's own SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from orchestrator.facts import StackSettled
from orchestrator.llm.values import Fault, ProviderError

from .conftest import PATIENCE_S, Model, Talker, World, answering

SECRET = "what nobody may read in a span"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is recorded while the test runs, and no longer.

    OpenTelemetry's own way sets a process's provider for good; its span ids come from the shared generator of `random`,
    so whatever ran later in this process, seeded or not, would draw other numbers.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    assert trace.get_tracer_provider() is provider
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, beginning: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name.startswith(beginning)]


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def assert_nothing_private(spans: InMemorySpanExporter) -> None:
    assert SECRET not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_run_is_a_span_in_its_cycle_with_its_model_call_inside(
    world: World, spans: InMemorySpanExporter
) -> None:
    stack = await world.stack()
    async with world.daemon([Talker()], [answering(SECRET)]):
        await world.until("select count(*) = 1 from public.agent_traces where action = 'talk'")
        await world.until_fact(StackSettled)
    (chat,), (run,) = named(spans, "chat"), named(spans, "invoke_agent")
    cycle = next(span for span in named(spans, "cycle") if span.context == run.parent)
    assert chat.parent == run.context
    assert cycle.parent is None
    assert (chat.name, run.name) == ("chat scripted-small", "invoke_agent planner")
    assert (chat.kind, run.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL), "a simulated model calls nobody"
    assert attributes(cycle) == {"stackbeat.stack.id": str(stack), "stackbeat.fence": 1}
    run_id = await world.admin.fetchval("select id from public.agent_executions")
    assert attributes(run) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "planner",
        "gen_ai.agent.id": f"{stack}/planner",
        "gen_ai.conversation.id": str(stack),
        "stackbeat.stack.id": str(stack),
        "stackbeat.run.id": str(run_id),
        "stackbeat.run.attempt": 1,
        "stackbeat.run.status": "completed",
        "stackbeat.reply.reused": False,
        "stackbeat.work.priority": 5,
    }
    assert attributes(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.agent.name": "planner",
        "gen_ai.output.type": "json",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0,
        "gen_ai.request.model": "scripted-small",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "stackbeat.model.attempts": 1,
        "stackbeat.model.fallback": False,
        "stackbeat.simulated": True,
        "stackbeat.cost_usd": 0,
    }
    assert all(span.status.status_code is StatusCode.UNSET for span in (chat, run, cycle))
    assert_nothing_private(spans)


async def test_a_fall_over_is_one_call_with_two_attempts(world: World, spans: InMemorySpanExporter) -> None:
    async def away() -> str:
        raise ProviderError(Fault.AWAY, SECRET)

    first, second = Model(think=away, name="first", simulated=False), answering()
    await world.stack()
    async with world.daemon([Talker()], [first, second]):
        await world.until("select count(*) = 1 from public.agent_traces where action = 'talk'")
    (chat,) = named(spans, "chat")
    seen = attributes(chat)
    assert chat.kind is SpanKind.CLIENT
    assert (seen["gen_ai.provider.name"], seen["stackbeat.model.fallback"]) == ("scripted", True)
    assert seen["stackbeat.model.attempts"] == 2
    assert chat.status.status_code is StatusCode.UNSET, "it ended well"
    assert_nothing_private(spans)


async def test_a_failed_run_is_marked_with_the_kind_of_its_error_alone(
    world: World, spans: InMemorySpanExporter
) -> None:
    async def refuse() -> str:
        raise ProviderError(Fault.BAD_REQUEST, SECRET)

    await world.stack()
    async with world.daemon([Talker()], [Model(think=refuse)]):
        await world.until("select count(*) >= 1 from public.agent_executions where status = 'failed'")
    chat, run = named(spans, "chat")[0], named(spans, "invoke_agent")[0]
    assert (chat.status.status_code, attributes(chat)["error.type"]) == (StatusCode.ERROR, "rejected")
    assert (run.status.status_code, attributes(run)["error.type"]) == (StatusCode.ERROR, "failed")
    assert_nothing_private(spans)


async def test_an_agents_bug_leaves_its_kind_and_not_its_text(world: World, spans: InMemorySpanExporter) -> None:
    class Buggy(Talker):
        def interpret(self, reply: Any, snapshot: Any, work: Any) -> Any:
            raise KeyError(SECRET)

    await world.stack()
    async with world.daemon([Buggy()], [answering()]):
        await world.until("select count(*) >= 1 from public.agent_executions where status = 'failed'")
    assert attributes(named(spans, "chat")[0])["error.type"] == "KeyError"
    assert attributes(named(spans, "invoke_agent")[0])["stackbeat.run.status"] == "failed"
    assert_nothing_private(spans)


async def test_a_stopped_call_ends_its_span_as_cancelled(world: World, spans: InMemorySpanExporter) -> None:
    asked = anyio.Event()

    async def think() -> str:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    stack = await world.stack()
    async with world.daemon([Talker()], [Model(think=think)]):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
        await world.move(stack, "stopped")
        await world.until("select count(*) = 1 from public.llm_calls where error = 'cancelled'")
    (chat,), (run,) = named(spans, "chat"), named(spans, "invoke_agent")
    assert attributes(chat)["error.type"] == "cancelled"
    assert attributes(run)["stackbeat.run.status"] == "stopped"
    assert run.status.status_code is StatusCode.UNSET, "somebody wanted it so"
