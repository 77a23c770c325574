"""Every fact as one plain sentence for people who run the daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from orchestrator.facts import (
    AgentBroke,
    BatchSent,
    BeatDone,
    BreakerClosed,
    BreakerOpened,
    CallAttempted,
    CycleBroke,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    Fact,
    LeaseLost,
    ModelMissing,
    MonitorServed,
    OutcomeDropped,
    PriceUnknown,
    PromptRead,
    ProviderAlarm,
    Pruned,
    ReplyReused,
    RunBegun,
    RunCommitted,
    RunRefused,
    SavingBegan,
    SavingEnded,
    SignalsDown,
    SignalsUp,
    StackClaimed,
    StackSettled,
    StackUnreadable,
    StoreAway,
    StoreBack,
)

# What an agent writes as the action of its trace -> what it did. Other agents' words are taken as they are.
_DEEDS: Mapping[str, str] = {
    "planning": "planned",
    "build": "built a version",
    "review": "reviewed the page",
    "announce": "told the other teams",
    "communicate": "went through its messages",
    "respond_to_user": "answered a visitor",
}
_OTHER_ENDS: Mapping[str, str] = {"failed": "failed", "deferred": "has to wait", "stopped": "was stopped"}
_SHORT_ID = 8


def sentence(fact: Fact, name: str) -> str:
    """One fact in words; ``name`` is its stack's, where it is known."""
    who = name or str(getattr(fact, "stack", ""))[:_SHORT_ID]
    match fact:
        case DaemonStarted() | MonitorServed() | DaemonStopping() | DaemonStopped() | BeatDone() | BatchSent():
            return _of_the_daemon(fact)
        case PromptRead() | SavingBegan() | SavingEnded():
            return _of_settings(fact)
        case ProviderAlarm() | PriceUnknown() | CallAttempted() | BreakerOpened() | BreakerClosed() | ModelMissing():
            return _of_a_provider(fact)
        case StoreAway() | StoreBack() | SignalsUp() | SignalsDown() | Pruned():
            return _of_supabase(fact)
        case RunBegun() | RunRefused() | RunCommitted() | ReplyReused() | AgentBroke() | OutcomeDropped():
            return f"{who}: {_of_a_run(fact)}"
        case StackClaimed() | StackSettled() | StackUnreadable() | CycleBroke() | LeaseLost():
            return f"{who}: {_of_a_stack(fact)}"
        case _:
            assert_never(fact)


def _of_the_daemon(
    fact: DaemonStarted | MonitorServed | DaemonStopping | DaemonStopped | BeatDone | BatchSent,
) -> str:
    match fact:
        case DaemonStarted():
            models = "a SIMULATED model (no provider key is set)" if fact.simulated else ", then ".join(fact.providers)
            return (
                f"daemon {fact.worker[:_SHORT_ID]} drives the stacks on {fact.url}; "
                f"agents: {', '.join(fact.agents)}; model: {models}"
            )
        case MonitorServed():
            return f"metrics, health and readiness: {fact.url}/metrics, /health and /ready"
        case DaemonStopping():
            wait = f": {_count(fact.running, 'stack')} may finish within {fact.grace_s:g} s" if fact.running else ""
            return f"stopping{wait}"
        case DaemonStopped():
            left = f"; {_count(fact.abandoned, 'stack')} go on when their leases end" if fact.abandoned else ""
            return f"stopped{left}"
        case BeatDone():
            return (
                f"beat ({fact.cause}): claimed {_count(fact.claimed, 'stack')} in {fact.took_ms:.0f} ms, "
                f"the latest {fact.lag_ms:.0f} ms late, {fact.free_slots} slots free"
            )
        case BatchSent():
            return f"sent {fact.verb} with {_count(fact.items, 'part')} in {fact.took_ms:.0f} ms"
        case _:
            assert_never(fact)


def _of_settings(fact: PromptRead | SavingBegan | SavingEnded) -> str:
    match fact:
        case PromptRead() if fact.error is not None:
            return f"the {fact.agent} keeps the instructions it had: {_last_line(fact.error)}"
        case PromptRead():
            return f"the {fact.agent} takes its instructions from {fact.path}"
        case SavingBegan():
            return f"saving ({fact.step}): {fact.share:.0%} of {fact.budget} is used"
        case SavingEnded():
            return f"no longer saving on {fact.budget}"
        case _:
            assert_never(fact)


def _of_a_provider(
    fact: ProviderAlarm | PriceUnknown | CallAttempted | BreakerOpened | BreakerClosed | ModelMissing,
) -> str:
    match fact:
        case ProviderAlarm():
            return (
                f"{fact.provider} refuses to answer for {fact.model}: check its key and the model's name ({fact.error})"
            )
        case PriceUnknown():
            return (
                f"the price of {fact.provider}'s {fact.model} is not known: its calls count ${fact.input_usd:g} "
                f'a million tokens in and ${fact.output_usd:g} out; set models.prices."{fact.provider}/{fact.model}"'
            )
        case BreakerOpened():
            return f"{fact.provider}'s {fact.model} is left alone for {fact.rest_s:.1f} s ({_last_line(fact.error)})"
        case BreakerClosed():
            return f"{fact.provider}'s {fact.model} answers again"
        case ModelMissing():
            near = f"; did you mean {fact.nearest}?" if fact.nearest else ""
            return f"{fact.provider} does not list the model {fact.model}: it may be gone, or its name is wrong{near}"
        case CallAttempted():
            end = f"failed: {_last_line(fact.error)}" if fact.error else "answered"
            return (
                f"{fact.provider} ({fact.model}) {end} after {fact.latency_ms / 1_000:.2f} s, for the {fact.role} model"
            )
        case _:
            assert_never(fact)


def _of_supabase(fact: StoreAway | StoreBack | SignalsUp | SignalsDown | Pruned) -> str:
    match fact:
        case StoreAway():
            return f"Supabase does not answer, nothing is lost; next try within {fact.retry_s:.1f} s ({fact.error})"
        case StoreBack():
            return "Supabase answers again"
        case SignalsUp():
            return "realtime is connected: changes are heard at once"
        case SignalsDown():
            return (
                f"realtime is not connected: changes wait for the timer; next try within {fact.retry_s:.1f} s "
                f"({_last_line(fact.error)})"
            )
        case Pruned():
            return "deleted old rows: " + ", ".join(f"{n} of {table}" for table, n in sorted(fact.deleted.items()) if n)
        case _:
            assert_never(fact)


def _of_a_run(fact: RunBegun | RunRefused | RunCommitted | ReplyReused | AgentBroke | OutcomeDropped) -> str:
    match fact:
        case RunBegun():
            again = f", attempt {fact.attempt}" if fact.attempt > 1 else ""
            return f"the {fact.agent} begins: {fact.reason}{again}"
        case RunRefused():
            return f"the {fact.agent} may not begin ({fact.verdict}): {fact.reason}"
        case RunCommitted():
            return _of_an_end(fact)
        case ReplyReused():
            return f"the {fact.agent} takes the reply that was paid for before (call {fact.call[:_SHORT_ID]})"
        case AgentBroke():
            return f"a bug in the {fact.agent} ({fact.where}): {_last_line(fact.error)}"
        case OutcomeDropped():
            return f"the outcome of run {fact.run} cannot be stored and is lost: {fact.error}"
        case _:
            assert_never(fact)


def _of_an_end(run: RunCommitted) -> str:
    deed = _DEEDS.get(run.action, run.action.replace("_", " ")) if run.status == "completed" else ""
    what = deed or _OTHER_ENDS.get(run.status, run.status)
    details = [f"{run.took_ms / 1_000:.2f} s"]
    if run.tokens:
        details.append(f"{run.tokens:,} tokens")
    if run.cost_usd:
        details.append(f"${run.cost_usd:.4f}")
    if run.verdict != "done":
        details.append(f"not stored: {run.verdict}")
    error = f": {_last_line(run.error)}" if run.error and run.error.strip() else ""
    return f"the {run.agent} {what} ({', '.join(details)}){error}"


def _of_a_stack(fact: StackClaimed | StackSettled | StackUnreadable | CycleBroke | LeaseLost) -> str:
    match fact:
        case StackClaimed():
            return "claimed"
        case StackSettled():
            due = "when something happens" if fact.due_in_ms is None else f"in {fact.due_in_ms / 1_000:.1f} s"
            missed = f", {_count(fact.missed, 'beat')} missed" if fact.missed else ""
            return f"looked at again {due}{missed}" + (f": {fact.reason}" if fact.reason else "")
        case StackUnreadable():
            return f"cannot be read, daemon and migrations do not fit together: {_last_line(fact.error)}"
        case CycleBroke():
            return f"a bug ended its cycle, it is tried again soon: {_last_line(fact.error)}"
        case LeaseLost():
            return f"another daemon has it now, or nobody may ({fact.cause}); nothing of the work in flight lands"
        case _:
            assert_never(fact)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no reason given"
