"""What happened, as values: one closed union, reported to one observer; loggers and metrics choose what to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStarted:
    worker: str
    url: str
    providers: tuple[str, ...]
    simulated: bool
    agents: tuple[str, ...]
    slots: int
    cadence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorServed:
    """Where the daemon's metrics, health and readiness can be read."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRead:
    """An agent's instructions come from this file, or, with an error, stay what they were."""

    agent: str
    path: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopping:
    running: int
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopped:
    worker: str
    abandoned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatDone:
    """One pass of the loop that found something: how many stacks, how late the latest of them was."""

    cause: str
    claimed: int
    free_slots: int
    took_ms: float
    lag_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackClaimed:
    stack: str
    name: str
    fence: int
    overruns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettled:
    """A cycle's end. ``took_ms`` since its claim and ``missed`` whole cadences meanwhile, by the database's clock."""

    stack: str
    due_in_ms: int | None
    reason: str | None
    took_ms: float | None
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackUnreadable:
    """The snapshot does not have the agreed shape: daemon and migrations do not fit."""

    stack: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBroke:
    """An exception inside an agent's pure function: a bug of the agent, with its stack trace."""

    stack: str
    agent: str
    where: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleBroke:
    """A bug ended a stack's cycle; the stack is tried again when its lease ends."""

    stack: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun:
    stack: str
    agent: str
    run: str
    priority: int
    reason: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReused:
    """The question had been answered in a run whose effects did not land: the stored reply is used, none bought."""

    stack: str
    agent: str
    run: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused:
    stack: str
    agent: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommitted:
    """A run has its verdict.

    ``trigger_to_trace_ms`` is the time from the moment its work stood to the commit that brought its trace, both by the
    database's clock; None where the run's result did not land.
    """

    stack: str
    agent: str
    run: str
    status: str
    verdict: str
    action: str
    took_ms: float
    commit_ms: float
    trigger_to_trace_ms: float | None
    tokens: int
    cost_usd: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSent:
    verb: str
    items: int
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAttempted:
    """One attempt at one provider; ``outcome`` is "answered", "cancelled" or the kind of failure (llm.values.Fault)."""

    role: str
    provider: str
    model: str
    attempt: int
    outcome: str
    latency_ms: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    priced: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUnknown:
    """No price is known for a model: what it costs is counted at so many dollars a million tokens, in and out."""

    provider: str
    model: str
    input_usd: float
    output_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingBegan:
    """So much of a budget is used that a step of ``[budget.degrade]`` is taken."""

    budget: str
    step: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingEnded:
    """No step is taken any more: the budget was raised, or its day is over."""

    budget: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened:
    """A model failed too often in a row, or said how long to wait, or denied us: it is not asked for so long."""

    provider: str
    model: str
    failures: int
    rest_s: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerClosed:
    """A model whose breaker had opened answers again."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMissing:
    """A configured model is not in its provider's own list; ``nearest`` is what there is of a similar name."""

    provider: str
    model: str
    nearest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAlarm:
    """A provider refuses us: an operator must look at key, permission or model name."""

    provider: str
    model: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost:
    stack: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAway:
    verb: str
    error: str
    retry_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBack:
    verb: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDropped:
    """The store refuses even a bare record of this run: a bug on our side; nothing of it landed."""

    stack: str
    run: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsUp:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalsDown:
    error: str
    retry_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Rows deleted because they were older than the settings keep them."""

    deleted: dict[str, int]


Fact = (
    DaemonStarted
    | MonitorServed
    | PromptRead
    | DaemonStopping
    | DaemonStopped
    | BeatDone
    | StackClaimed
    | StackSettled
    | StackUnreadable
    | AgentBroke
    | CycleBroke
    | RunBegun
    | ReplyReused
    | RunRefused
    | RunCommitted
    | BatchSent
    | CallAttempted
    | PriceUnknown
    | ProviderAlarm
    | SavingBegan
    | SavingEnded
    | BreakerOpened
    | BreakerClosed
    | ModelMissing
    | LeaseLost
    | StoreAway
    | StoreBack
    | OutcomeDropped
    | Pruned
    | SignalsUp
    | SignalsDown
)
Observer = Callable[[Fact], None]


def tell(*observers: Observer) -> Observer:
    """One observer that passes every fact on to several, in this order."""

    def observe(fact: Fact) -> None:
        for observer in observers:
            observer(fact)

    return observe


def ignore(fact: Fact) -> None:
    """The observer that looks at nothing."""
