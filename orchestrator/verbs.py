"""What the daemon says to the database's verbs and what it hears: the values on both sides of ``store``.

The verbs themselves are SQL functions in ``supabase/migrations``; this is their contract, version 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from agents.snapshot import NOWHERE, Memory, Surroundings
from agents.work import Item, Recall, Work
from orchestrator.llm.values import Call, Offer

VERSION = 2


class BeginVerdict(StrEnum):
    BEGUN = "begun"
    WAITING = "waiting"  # quota or budget: no model may be asked for this now
    STALE = "stale"
    STOPPED = "stopped"
    PAUSED = "paused"
    BUSY = "busy"
    TAKEN = "taken"


class CommitVerdict(StrEnum):
    DONE = "done"
    STALE = "stale"
    STOPPED = "stopped"
    BUSY = "busy"
    FAILED = "failed"


class RunStatus(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    DEFERRED = "deferred"
    STOPPED = "stopped"


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ClaimedStack(Answer):
    """A leased stack. ``snapshot`` stays raw, so that one unreadable stack does not spoil the beat."""

    stack_id: UUID
    fence: int
    wakes: int
    due_at: AwareDatetime | None = None
    overruns: int = 0
    snapshot: dict[str, Any]


class Claim(Answer):
    now: AwareDatetime
    next_wake_at: AwareDatetime | None = None
    surroundings: Surroundings | None = None
    stacks: tuple[ClaimedStack, ...] = ()

    @property
    def around(self) -> Surroundings:
        return self.surroundings or NOWHERE


class KeptReply(Answer):
    """A reply that was paid for and stored, but whose run's effects did not land."""

    call_id: UUID
    ask_hash: str
    simulated: bool
    body: str


class BegunRun(Answer):
    run_id: UUID
    verdict: BeginVerdict
    reason: str | None = None
    attempt: int = 1
    # Of a begun run: which provider's quota it reserved, and how much it may spend. Of a waiting one: for how long.
    provider: str | None = None
    usd: Decimal | None = None
    wait_ms: int | None = None
    artifact: str | None = None
    kept: tuple[KeptReply, ...] | None = None
    recalled: tuple[Memory, ...] | None = None


class Begun(Answer):
    now: AwareDatetime
    runs: tuple[BegunRun, ...]


class RunVerdict(Answer):
    run_id: UUID
    verdict: CommitVerdict
    reason: str | None = None


class SettleVerdict(Answer):
    stack_id: UUID
    verdict: CommitVerdict


class Committed(Answer):
    """``claimed`` is None where nothing was to be claimed, or could be."""

    now: AwareDatetime
    next_wake_at: AwareDatetime | None = None
    runs: tuple[RunVerdict, ...] = ()
    settled: tuple[SettleVerdict, ...] = ()
    claimed: Claim | None = None


class HaltedStack(Answer):
    stack_id: UUID
    execution_state: str


class Pulse(Answer):
    """A lease neither renewed nor lost had its row locked: the next heartbeat renews it."""

    now: AwareDatetime
    released: int = 0
    due: int = 0
    lost: tuple[UUID, ...] = ()
    halted: tuple[HaltedStack, ...] = ()


class PrunedRows(Answer):
    deleted: dict[str, int]


class BudgetNow(Answer):
    """A row of ``budgets_now``: a budget and what counts against it."""

    stack_id: UUID | None = None
    agent_type: str | None = None
    per: str
    usd: Decimal | None = None
    tokens: int | None = None
    used_usd: Decimal | None = None
    used_tokens: int | None = None

    def covers(self, stack: UUID, agent: str) -> bool:
        """Whether this agent of this stack spends from it."""
        return self.stack_id in {None, stack} and self.agent_type in {None, agent}

    @property
    def share(self) -> float:
        """How much of it is used, by dollars or by tokens, whichever is more."""
        return max(_share(self.used_usd, self.usd), _share(self.used_tokens, self.tokens))

    @property
    def words(self) -> str:
        """What it allows to whom, as people read it."""
        usd = None if self.usd is None else f"{self.usd.normalize():f} USD"
        tokens = None if self.tokens is None else f"{self.tokens} tokens"
        amounts = " and ".join(filter(None, (usd, tokens)))
        whose = "all stacks" if self.stack_id is None else f"stack {str(self.stack_id)[:8]}"
        role = "" if self.agent_type is None else f"the {self.agent_type}s of "
        return f"the {amounts} {'a day' if self.per == 'day' else 'in all'} of {role}{whose}"


def _share(used: Decimal | int | None, most: Decimal | int | None) -> float:
    """Nothing of no limit, all of an empty one."""
    if most is None:
        return 0.0
    return float((used or 0) / most) if most else 1.0


class Budgets(Answer):
    budgets: tuple[BudgetNow, ...]


class VerbsVersion(Answer):
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One agent's turn, decided but not begun."""

    run_id: UUID
    stack_id: UUID
    fence: int
    work: Work
    needs_artifact: bool
    offers: tuple[Offer, ...] = ()

    def as_wire(self) -> dict[str, Any]:
        work = self.work
        return {
            "run_id": str(self.run_id),
            "stack_id": str(self.stack_id),
            "fence": self.fence,
            "agent": work.agent,
            "priority": work.priority,
            "reason": work.reason,
            "key": work.key,
            "work_at": work.at.isoformat(),
            "item": _item(work.item),
            "needs_artifact": self.needs_artifact,
            "offers": [offer.as_wire() for offer in self.offers] or None,
            "recall": _recall(work.recall),
        }


def _recall(recall: Recall | None) -> dict[str, Any] | None:
    return None if recall is None else {"text": recall.text, "most": recall.most, "own": recall.own}


def _item(item: Item | None) -> dict[str, Any] | None:
    return None if item is None else {"kind": item.kind, "ids": [str(id_) for id_ in item.ids]}


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """One agent's turn as it ended: what was spent, what it changes, what people see of it."""

    run_id: UUID
    stack_id: UUID
    fence: int
    agent: str
    status: RunStatus
    error: str | None = None
    calls: tuple[Call, ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    trace: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    simulated: bool = False
    retry_ms: int | None = None
    reply_of: UUID | None = None

    @cached_property
    def wire(self) -> dict[str, Any]:
        """As it is sent: weighed once, and sent at least once."""
        return {
            "run_id": str(self.run_id),
            "stack_id": str(self.stack_id),
            "fence": self.fence,
            "agent": self.agent,
            "status": self.status,
            "error": self.error,
            "calls": [call.as_wire() for call in self.calls],
            "changes": self.changes,
            "trace": self.trace,
            "context": self.context,
            "simulated": self.simulated,
            "retry_ms": self.retry_ms,
            "reply_of": None if self.reply_of is None else str(self.reply_of),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The end of a cycle: when the stack is due again (None: only a wake makes it due) and why it waits."""

    stack_id: UUID
    fence: int
    wakes: int
    due_in_ms: int | None
    wait_reason: str | None

    def as_wire(self) -> dict[str, Any]:
        return {
            "stack_id": str(self.stack_id),
            "fence": self.fence,
            "wakes": self.wakes,
            "due_in_ms": self.due_in_ms,
            "wait_reason": self.wait_reason,
            "wait_ms": self.due_in_ms if self.wait_reason else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    stack_id: UUID
    fence: int


def seconds_until(moment: datetime | None, now: datetime) -> float | None:
    """Database times become a relative wait, so that this machine's clock need not agree with the database's."""
    return None if moment is None else (moment - now).total_seconds()
