"""OpenTelemetry spans where its API is installed (the extra ``otel``); elsewhere nothing here does anything.

    cycle                     one stack's pass, from its claim to its settlement
      invoke_agent builder    one run, from its begin to its outcome
        chat openai/gpt-oss   one logical call with all its attempts, repairs and fall-overs

Names are those of OpenTelemetry's GenAI conventions, which may still change: they stand in this file alone. No span
carries a prompt, a reply or the text of an error; ``stackbeat.run.id`` leads to the run, where operators read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

import anyio

from orchestrator.llm.values import Call, Deferred, Prompt, Rejected
from orchestrator.verbs import ClaimedStack, FinishedRun, PlannedRun, RunStatus

try:
    from opentelemetry import trace
except ImportError:  # the extra is not installed
    trace = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanKind, Tracer
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]

T = TypeVar("T")
ERROR_TYPE = "error.type"

_VERSION = version("stackbeat")


def unchanged(value: T) -> T:
    """What spans do with a result where nobody traces."""
    return value


# In the place of each span where nobody traces, which is the usual case: entering it costs next to nothing.
UNSEEN = nullcontext(unchanged)


# Looked up as a cycle begins, for the spans within it: asking for a provider is not free.
_TRACER: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


def _look() -> Tracer | None:
    """The tracer of whatever provider this process has now; None where nobody would see its spans."""
    if trace is None or isinstance(provider := trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return provider.get_tracer("stackbeat", _VERSION)


def cycle_span(claimed: ClaimedStack) -> AbstractContextManager[object]:
    """Around one stack's cycle."""
    tracer = _look()
    _TRACER.set(tracer)
    if tracer is None:
        return UNSEEN
    attributes: Attributes = {"stackbeat.stack.id": str(claimed.stack_id), "stackbeat.fence": claimed.fence}
    return _span(tracer, "cycle", trace.SpanKind.INTERNAL, attributes)


def agent_span(planned: PlannedRun, attempt: int) -> AbstractContextManager[Callable[[FinishedRun], FinishedRun]]:
    """Around one begun run; give its outcome to what this yields."""
    tracer = _TRACER.get()
    return UNSEEN if tracer is None else _agent_span(tracer, planned, attempt)


@contextmanager
def _agent_span(tracer: Tracer, planned: PlannedRun, attempt: int) -> Iterator[Callable[[FinishedRun], FinishedRun]]:
    work, stack = planned.work, str(planned.stack_id)
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": work.agent,
        "gen_ai.agent.id": f"{stack}/{work.agent}",
        "gen_ai.conversation.id": stack,
        "stackbeat.stack.id": stack,
        "stackbeat.run.id": str(planned.run_id),
        "stackbeat.run.attempt": attempt,
        "stackbeat.work.priority": work.priority,
    }
    with _span(tracer, f"invoke_agent {work.agent}", trace.SpanKind.INTERNAL, attributes) as span:

        def ended(run: FinishedRun) -> FinishedRun:
            span.set_attribute("stackbeat.run.status", run.status.value)
            span.set_attribute("stackbeat.reply.reused", run.reply_of is not None)
            if run.status is RunStatus.FAILED:
                _fail(span, run.status.value)
            return run

        yield ended


def chat_span(
    prompt: Prompt, calls: Sequence[Call], *, provider: str, simulated: bool
) -> AbstractContextManager[Callable[[T], T]]:
    """Around one logical call that appends its attempts to ``calls``; give its result to what this yields.

    ``provider`` is the first choice; the span ends with the name of the one that was asked last.
    """
    tracer = _TRACER.get()
    return UNSEEN if tracer is None else _chat_span(tracer, prompt, calls, provider=provider, simulated=simulated)


@contextmanager
def _chat_span(
    tracer: Tracer, prompt: Prompt, calls: Sequence[Call], *, provider: str, simulated: bool
) -> Iterator[Callable[[T], T]]:
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.agent.name": prompt.role,
        "gen_ai.output.type": "json",
        "gen_ai.request.max_tokens": prompt.max_output_tokens,
        "gen_ai.request.temperature": prompt.temperature,
    }
    # What is simulated happens in this process.
    kind = trace.SpanKind.INTERNAL if simulated else trace.SpanKind.CLIENT
    with _span(tracer, "chat", kind, attributes) as span:

        def ended(result: T) -> T:
            if isinstance(result, Rejected | Deferred):
                _fail(span, type(result).__name__.lower())
            return result

        try:
            yield ended
        finally:
            if calls:
                span.update_name(f"chat {calls[-1].model}")
                span.set_attributes(_of_calls(calls))


def _of_calls(calls: Sequence[Call]) -> Attributes:
    last = calls[-1]
    found: Attributes = {
        "gen_ai.provider.name": last.provider,
        "gen_ai.request.model": last.model,
        "gen_ai.usage.input_tokens": sum(call.tokens_in for call in calls),
        "gen_ai.usage.output_tokens": sum(call.tokens_out for call in calls),
        "gen_ai.usage.cache_read.input_tokens": sum(call.tokens_cached for call in calls),
        "stackbeat.model.attempts": len(calls),
        "stackbeat.model.fallback": len({call.provider for call in calls}) > 1,
        "stackbeat.simulated": last.simulated,
        "stackbeat.cost_usd": float(sum(call.cost_usd for call in calls)),
    }
    if last.finish_reason is not None:
        found["gen_ai.response.finish_reasons"] = [last.finish_reason]
    return found


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes) -> Iterator[Span]:
    """A current span. An exception leaves its type there and passes on; its text may quote what a model said."""
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except anyio.get_cancelled_exc_class():
            _fail(span, "cancelled")
            raise
        except Exception as error:
            _fail(span, type(error).__qualname__)
            raise


def _fail(span: Span, kind: str) -> None:
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(trace.StatusCode.ERROR)
