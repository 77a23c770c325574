"""One agent's turn after its begin: ask -> model -> interpret -> outcome, every end of it a value."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from typing import Any, assert_never

import orjson
from pydantic import BaseModel

from agents.agent import Agent
from agents.outcome import Outcome, ReplyRejected
from agents.snapshot import Snapshot
from orchestrator.facts import AgentBroke, Observer
from orchestrator.fleet import Halt, LiveCycle
from orchestrator.llm.chain import Chain
from orchestrator.llm.values import Accepted, Call, Deferred, Prompt, Rejected, UnacceptableError
from orchestrator.plain_text import plain_text
from orchestrator.verbs import FinishedRun, PlannedRun, RunStatus

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


async def perform(turn: Turn, chain: Chain, observer: Observer) -> FinishedRun:
    """Run one begun turn to its end.

    A halt cuts only the model call short; what was spent is always in the result.
    """
    ledger: list[Call] = []
    try:
        result = await _ask(turn, chain, ledger)
    except Exception as error:  # an agent's bug ends its run, with the stack trace, and nothing else
        trace = "".join(traceback.format_exception(error))[-TRACE_LIMIT:]
        observer(
            AgentBroke(
                stack=str(turn.planned.stack_id), agent=turn.planned.work.agent, where="its turn", error=repr(error)
            )
        )
        return _ended(turn, ledger, RunStatus.FAILED, trace, retry_s=_backoff(turn.attempt))
    match result:
        case Accepted(value=outcome):
            try:
                return _completed(turn, ledger, outcome)
            except orjson.JSONEncodeError as error:
                reason = f"the agent's outcome is not JSON: {error}"
                return _ended(turn, ledger, RunStatus.FAILED, reason, retry_s=_backoff(turn.attempt))
        case Rejected(reason=reason):
            return _ended(turn, ledger, RunStatus.FAILED, reason, retry_s=_backoff(turn.attempt))
        case Deferred(reason=reason, retry_s=retry_s):
            return _ended(turn, ledger, RunStatus.DEFERRED, reason, retry_s=retry_s)
        case None:
            halted = turn.live.halted or Halt.SHUTDOWN
            status = RunStatus.DEFERRED if halted is Halt.SHUTDOWN else RunStatus.STOPPED
            return _ended(turn, ledger, status, halted.value, retry_s=0)
        case _:
            assert_never(result)


async def _ask(turn: Turn, chain: Chain, ledger: list[Call]) -> Accepted[Outcome] | Rejected | Deferred | None:
    """The model's answer as an outcome; None if the turn was halted meanwhile."""
    agent, snapshot, work = turn.agent, turn.snapshot, turn.planned.work
    ask = agent.ask(snapshot, work)
    prompt = Prompt(
        role=work.agent,
        system=ask.system,
        user=ask.user,
        output=ask.output,
        temperature=ask.temperature,
        max_output_tokens=ask.max_output_tokens,
        tier=ask.tier,
    )

    def interpret(reply: BaseModel) -> Outcome:
        try:
            return agent.interpret(reply, snapshot, work)
        except ReplyRejected as error:
            raise UnacceptableError(error.reason) from None

    with turn.live.cancellable():
        return await chain.complete(prompt, interpret, ledger)
    return None


def _completed(turn: Turn, ledger: list[Call], outcome: Outcome) -> FinishedRun:
    """The outcome as plain JSON values, which is all that a commit shared with other stacks may carry.

    Raises orjson.JSONEncodeError where an agent put in something else.
    """
    planned = turn.planned
    changes = tuple(change.model_dump(mode="json") for change in outcome.changes)
    trace = {"thought": outcome.thought, "action": outcome.action, "result": outcome.result}
    changes, trace, context = orjson.loads(orjson.dumps((changes, trace, outcome.context)))
    return FinishedRun(
        run_id=planned.run_id,
        stack_id=planned.stack_id,
        fence=planned.fence,
        agent=planned.work.agent,
        status=RunStatus.COMPLETED,
        calls=tuple(ledger),
        changes=tuple(changes),
        trace=trace,
        context=context,
        simulated=_simulated(ledger),
    )


def _ended(turn: Turn, ledger: list[Call], status: RunStatus, error: str, *, retry_s: float) -> FinishedRun:
    planned = turn.planned
    return FinishedRun(
        run_id=planned.run_id,
        stack_id=planned.stack_id,
        fence=planned.fence,
        agent=planned.work.agent,
        status=status,
        error=plain_text(error),
        calls=tuple(ledger),
        trace=FAILURE_TRACE if status is RunStatus.FAILED else None,
        simulated=_simulated(ledger),
        retry_ms=round(retry_s * 1_000),
    )


def _simulated(ledger: list[Call]) -> bool:
    return bool(ledger) and ledger[-1].simulated


def _backoff(attempt: int) -> float:
    wait = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(max(attempt, 1) - 1, 10))
    return wait * random.uniform(1.0, 1.25)
