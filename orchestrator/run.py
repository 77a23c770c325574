"""One agent's turn after its begin: ask -> model -> interpret -> outcome, every end of it a value.

Where the same question was answered before, in a run whose effects did not land, the stored reply takes the model's
place.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, assert_never
from uuid import UUID

import orjson
from pydantic import BaseModel, ValidationError

from agents.agent import Agent
from agents.ask import Ask, ask_hash
from agents.outcome import Outcome, ReplyRejected
from agents.snapshot import Snapshot
from orchestrator.facts import AgentBroke, Observer, ReplyReused
from orchestrator.fleet import Halt, LiveCycle
from orchestrator.llm.chain import Chain
from orchestrator.llm.values import Accepted, Call, Deferred, Prompt, Rejected, UnacceptableError
from orchestrator.plain_text import plain_text
from orchestrator.told import context_after
from orchestrator.tracing import chat_span
from orchestrator.verbs import FinishedRun, KeptReply, PlannedRun, RunStatus

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 300.0
TRACE_LIMIT = 8_000
# Visitors see that something failed; why is for operators, in the run's row.
FAILURE_TRACE: dict[str, Any] = {"thought": "That did not work.", "action": "run_failed", "result": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn needs; ``attempt`` counts how often this work was begun."""

    planned: PlannedRun
    attempt: int
    agent: Agent
    snapshot: Snapshot
    live: LiveCycle
    ask: Ask | None = None  # where it was made before the begin
    told: Callable[[], str] | None = None
    kept: tuple[KeptReply, ...] = ()
    provider: str | None = None
    usd: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class _Record:
    """What a turn has spent and used so far; it outlives whatever cuts the turn short."""

    calls: list[Call] = field(default_factory=list)
    reused: KeptReply | None = None

    @property
    def simulated(self) -> bool:
        if self.reused is not None:
            return self.reused.simulated
        return bool(self.calls) and self.calls[-1].simulated

    @property
    def reply_of(self) -> UUID | None:
        return None if self.reused is None else self.reused.call_id


async def perform(turn: Turn, chain: Chain, observer: Observer) -> FinishedRun:
    """Run one begun turn to its end.

    A halt cuts only the model call short; what was spent is always in the result.
    """
    record = _Record()
    try:
        result = await _ask(turn, chain, record, observer)
    except Exception as error:  # an agent's bug ends its run, with the stack trace, and nothing else
        trace = "".join(traceback.format_exception(error))[-TRACE_LIMIT:]
        observer(
            AgentBroke(
                stack=str(turn.planned.stack_id), agent=turn.planned.work.agent, where="its turn", error=repr(error)
            )
        )
        return _ended(turn, record, RunStatus.FAILED, trace, retry_s=_backoff(turn.attempt))
    match result:
        case Accepted(value=outcome):
            try:
                return _completed(turn, record, outcome)
            except orjson.JSONEncodeError as error:
                reason = f"the agent's outcome is not JSON: {error}"
                return _ended(turn, record, RunStatus.FAILED, reason, retry_s=_backoff(turn.attempt))
        case Rejected(reason=reason):
            return _ended(turn, record, RunStatus.FAILED, reason, retry_s=_backoff(turn.attempt))
        case Deferred(reason=reason, retry_s=retry_s):
            return _ended(turn, record, RunStatus.DEFERRED, reason, retry_s=retry_s)
        case None:
            halted = turn.live.halted or Halt.SHUTDOWN
            status = RunStatus.DEFERRED if halted is Halt.SHUTDOWN else RunStatus.STOPPED
            return _ended(turn, record, status, halted.value, retry_s=0)
        case _:
            assert_never(result)


async def _ask(
    turn: Turn, chain: Chain, record: _Record, observer: Observer
) -> Accepted[Outcome] | Rejected | Deferred | None:
    """The model's answer as an outcome; None if the turn was halted meanwhile."""
    agent, snapshot, work = turn.agent, turn.snapshot, turn.planned.work
    ask = turn.ask or agent.ask(snapshot, work)
    prompt = Prompt(
        role=work.agent,
        system=ask.system,
        user=ask.user,
        output=ask.output,
        temperature=ask.temperature,
        max_output_tokens=ask.max_output_tokens,
        tier=ask.tier,
        ask_hash=ask_hash(ask),
    )

    def interpret(reply: BaseModel) -> Outcome:
        try:
            return agent.interpret(reply, snapshot, work)
        except ReplyRejected as error:
            raise UnacceptableError(error.reason) from None

    answered = _reuse(turn, ask, prompt.ask_hash, interpret, record)
    if answered is not None:
        assert record.reused is not None
        call = str(record.reused.call_id)
        observer(
            ReplyReused(stack=str(turn.planned.stack_id), agent=work.agent, run=str(turn.planned.run_id), call=call)
        )
        return answered
    first, simulated = chain.names[0], chain.simulated
    with (
        turn.live.cancellable(),
        chat_span(prompt, record.calls, provider=first, simulated=simulated) as ended,
    ):
        return ended(await chain.complete(prompt, interpret, record.calls, first=turn.provider, allowance_usd=turn.usd))
    return None


def _reuse(
    turn: Turn, ask: Ask, asked: str, interpret: Callable[[BaseModel], Outcome], record: _Record
) -> Accepted[Outcome] | None:
    """The first stored reply that answers this very question and still passes; None where there is none."""
    for kept in turn.kept:
        if kept.ask_hash != asked:
            continue
        try:
            outcome = interpret(ask.output.model_validate_json(kept.body))
        except (ValidationError, UnacceptableError):
            continue
        record.reused = kept
        return Accepted(value=outcome)
    return None


def _completed(turn: Turn, record: _Record, outcome: Outcome) -> FinishedRun:
    """The outcome as plain JSON values, which is all that a commit shared with other stacks may carry.

    Raises orjson.JSONEncodeError where an agent put in something else.
    """
    planned = turn.planned
    changes = tuple(change.model_dump(mode="json") for change in outcome.changes)
    trace = {"thought": outcome.thought, "action": outcome.action, "result": outcome.result}
    before = turn.snapshot.agent(planned.work.agent).context
    context = context_after(outcome, before, turn.told)
    changes, trace, context = orjson.loads(orjson.dumps((changes, trace, context)))
    return FinishedRun(
        run_id=planned.run_id,
        stack_id=planned.stack_id,
        fence=planned.fence,
        agent=planned.work.agent,
        status=RunStatus.COMPLETED,
        calls=tuple(record.calls),
        changes=tuple(changes),
        trace=trace,
        context=context,
        simulated=record.simulated,
        reply_of=record.reply_of,
    )


def _ended(turn: Turn, record: _Record, status: RunStatus, error: str, *, retry_s: float) -> FinishedRun:
    planned = turn.planned
    return FinishedRun(
        run_id=planned.run_id,
        stack_id=planned.stack_id,
        fence=planned.fence,
        agent=planned.work.agent,
        status=status,
        error=plain_text(error),
        calls=tuple(record.calls),
        trace=FAILURE_TRACE if status is RunStatus.FAILED else None,
        simulated=record.simulated,
        reply_of=record.reply_of,
        retry_ms=round(retry_s * 1_000),
    )


def _backoff(attempt: int) -> float:
    wait = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(max(attempt, 1) - 1, 10))
    return wait * random.uniform(1.0, 1.25)
