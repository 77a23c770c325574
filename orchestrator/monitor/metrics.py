"""Facts counted for Prometheus. docs/observability.md is the reference of every name; a test holds the two together.

Labels are bounded: agents, providers, models, verbs and verdicts, never a stack, a run or a text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

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
from orchestrator.monitor.vitals import ReadVitals

QUICK = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a database call."""
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds of a model call and of what waits for one."""
LATE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds somebody waited."""
PARTS = (1, 2, 5, 10, 20, 50)


class Metrics:
    """One daemon's counters, in a registry of their own: ``observe`` is an observer, ``render`` what a scrape reads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._away_since: float | None = None
        self._away_before_s = 0.0
        self._registry = CollectorRegistry()
        self._of_the_daemon()
        self._of_stacks()
        self._of_runs()
        self._of_models()
        self._of_supabase()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Sampled(self._away))

    def watch(self, read: ReadVitals) -> None:
        """Have every scrape ask the daemon's parts, too."""
        self._registry.register(_Vital(read))

    def render(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that ``accept``, a request header, asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(_Lean(self._registry)), content_type

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(name, help_, labels, namespace="stackbeat", registry=self._registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(name, help_, labels, namespace="stackbeat", registry=self._registry)

    def _histogram(self, name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help_, labels, namespace="stackbeat", registry=self._registry, buckets=buckets)

    def _of_the_daemon(self) -> None:
        self._info = self._gauge("daemon_info", "1; what the daemon was started with.", "providers", "simulated")
        self._cadence = self._gauge("cadence_seconds", "The beat's timer.")
        self._stopping = self._gauge("stopping", "1 while the daemon drains.")
        self._beats = self._counter("beats_total", "Beats that claimed something, by what woke the loop.", "cause")
        self._beat_took = self._histogram("beat_duration_seconds", "From claim to the last cycle's start.", QUICK)
        self._beat_lag = self._histogram("beat_lag_seconds", "How late the latest stack of a beat was claimed.", LATE)
        self._batch_took = self._histogram(
            "batch_duration_seconds", "One call of a verb, its retries too.", QUICK, "verb"
        )
        self._batch_runs = self._histogram("batch_runs", "Runs in one call of a verb.", PARTS, "verb")

    def _of_stacks(self) -> None:
        self._claimed = self._counter("stacks_claimed_total", "Stacks leased.")
        self._cycle_took = self._histogram("cycle_duration_seconds", "From a stack's claim to its settlement.", LATE)
        self._overruns = self._counter("overruns_total", "Whole cadences that passed while a cycle was still going on.")
        self._unreadable = self._counter("stacks_unreadable_total", "Snapshots the daemon could not read.")
        self._cycle_bugs = self._counter("cycle_bugs_total", "Cycles ended by an exception.")
        self._leases_lost = self._counter("leases_lost_total", "Leases that went to somebody else, or nobody.")

    def _of_runs(self) -> None:
        self._begun = self._counter("runs_begun_total", "Runs begun.", "agent")
        self._refused = self._counter("runs_refused_total", "Runs that could not begin.", "agent", "verdict")
        self._runs = self._counter("runs_total", "Runs ended.", "agent", "status", "verdict")
        self._run_took = self._histogram("run_duration_seconds", "From a run's begin to its outcome.", SLOW, "agent")
        self._commit_took = self._histogram("commit_duration_seconds", "From a run's outcome to its verdict.", QUICK)
        self._trigger = self._histogram(
            "trigger_to_trace_seconds", "From the moment work stood to the commit of its trace.", LATE, "agent"
        )
        self._reused = self._counter("replies_reused_total", "Stored replies used instead of a new call.", "agent")
        self._agent_bugs = self._counter("agent_bugs_total", "Exceptions inside an agent's functions.", "agent")
        self._dropped = self._counter("outcomes_dropped_total", "Outcomes the database refuses to keep at all.")

    def _of_models(self) -> None:
        model = ("provider", "model")
        self._calls = self._counter("model_calls_total", "Attempts at a model.", *model, "outcome")
        self._call_took = self._histogram("model_call_duration_seconds", "One attempt at a model.", SLOW, *model)
        self._tokens = self._counter("model_tokens_total", "Tokens, as the provider counts them.", *model, "direction")
        self._cost = self._counter("model_cost_usd_total", "What calls cost, by the price table.", *model)
        self._unpriced = self._counter("model_calls_unpriced_total", "Calls at the default price.", *model)
        self._breaker_open = self._gauge("model_breaker_open", "1 while a model is left alone or probed.", *model)
        self._breaker_openings = self._counter("model_breaker_openings_total", "Times a breaker opened.", *model)
        self._missing = self._gauge("model_missing", "1: the provider did not list it at the start.", *model)
        self._alarms = self._counter("provider_alarms_total", "Calls a provider denied: key, right or name.", *model)

    def _of_supabase(self) -> None:
        self._saved_on: set[str] = set()
        self._saving = self._gauge("budgets_spared", "Budgets that steps are taken to spare.")
        self._retries = self._counter("store_retries_total", "Calls without an answer that are sent again.", "verb")
        self._store_up = self._gauge("store_up", "0 from a call without an answer to the next answer, else 1.")
        self._signals_up = self._gauge("signals_up", "1 while realtime is connected.")
        self._signals_lost = self._counter("signals_lost_total", "Realtime connections that ended or did not begin.")
        self._pruned = self._counter("pruned_rows_total", "Rows deleted because of their age.", "table")

    def observe(self, fact: Fact) -> None:
        """Count one fact."""
        match fact:
            case RunBegun() | RunRefused() | RunCommitted() | ReplyReused() | AgentBroke() | OutcomeDropped():
                self._note_run(fact)
            case StackClaimed() | StackSettled() | StackUnreadable() | CycleBroke() | LeaseLost():
                self._note_stack(fact)
            case (
                CallAttempted() | ProviderAlarm() | PriceUnknown() | BreakerOpened() | BreakerClosed() | ModelMissing()
            ):
                self._note_model(fact)
            case SavingBegan():
                self._saved_on.add(fact.budget)
                self._saving.set(len(self._saved_on))
            case SavingEnded():
                self._saved_on.discard(fact.budget)
                self._saving.set(len(self._saved_on))
            case BatchSent():
                self._batch_took.labels(fact.verb).observe(fact.took_ms / 1_000)
                self._batch_runs.labels(fact.verb).observe(fact.items)
            case BeatDone():
                self._beats.labels(fact.cause).inc()
                self._beat_took.observe(fact.took_ms / 1_000)
                self._beat_lag.observe(fact.lag_ms / 1_000)
            case StoreAway() | StoreBack() | SignalsUp() | SignalsDown() | Pruned():
                self._note_supabase(fact)
            case DaemonStarted():
                self._info.labels(",".join(fact.providers), str(fact.simulated).lower()).set(1)
                self._cadence.set(fact.cadence_s)
                self._store_up.set(1)
            case DaemonStopping():
                self._stopping.set(1)
            case MonitorServed() | DaemonStopped() | PromptRead():
                pass  # before the first scrape and after the last; nothing to count
            case _:
                assert_never(fact)

    def _note_run(self, fact: RunBegun | RunRefused | RunCommitted | ReplyReused | AgentBroke | OutcomeDropped) -> None:
        match fact:
            case RunBegun():
                self._begun.labels(fact.agent).inc()
            case RunCommitted():
                self._runs.labels(fact.agent, fact.status, fact.verdict).inc()
                self._run_took.labels(fact.agent).observe(fact.took_ms / 1_000)
                self._commit_took.observe(fact.commit_ms / 1_000)
                if fact.trigger_to_trace_ms is not None:
                    self._trigger.labels(fact.agent).observe(fact.trigger_to_trace_ms / 1_000)
            case RunRefused():
                self._refused.labels(fact.agent, fact.verdict).inc()
            case ReplyReused():
                self._reused.labels(fact.agent).inc()
            case AgentBroke():
                self._agent_bugs.labels(fact.agent).inc()
            case OutcomeDropped():
                self._dropped.inc()
            case _:
                assert_never(fact)

    def _note_stack(self, fact: StackClaimed | StackSettled | StackUnreadable | CycleBroke | LeaseLost) -> None:
        match fact:
            case StackClaimed():
                self._claimed.inc()
            case StackSettled():
                if fact.took_ms is not None:
                    self._cycle_took.observe(fact.took_ms / 1_000)
                self._overruns.inc(fact.missed)
            case StackUnreadable():
                self._unreadable.inc()
            case CycleBroke():
                self._cycle_bugs.inc()
            case LeaseLost():
                self._leases_lost.inc()
            case _:
                assert_never(fact)

    def _note_model(
        self, fact: CallAttempted | ProviderAlarm | PriceUnknown | BreakerOpened | BreakerClosed | ModelMissing
    ) -> None:
        model = fact.provider, fact.model
        match fact:
            case CallAttempted():
                self._calls.labels(*model, fact.outcome).inc()
                self._call_took.labels(*model).observe(fact.latency_ms / 1_000)
                self._tokens.labels(*model, "in").inc(fact.tokens_in)
                self._tokens.labels(*model, "out").inc(fact.tokens_out)
                self._cost.labels(*model).inc(fact.cost_usd)
                if not fact.priced:
                    self._unpriced.labels(*model).inc()
            case PriceUnknown():
                pass  # its calls are counted, each of them
            case ProviderAlarm():
                self._alarms.labels(*model).inc()
            case BreakerOpened():
                self._breaker_open.labels(*model).set(1)
                self._breaker_openings.labels(*model).inc()
            case BreakerClosed():
                self._breaker_open.labels(*model).set(0)
            case ModelMissing():
                self._missing.labels(*model).set(1)
            case _:
                assert_never(fact)

    def _note_supabase(self, fact: StoreAway | StoreBack | SignalsUp | SignalsDown | Pruned) -> None:
        match fact:
            case StoreAway():
                self._retries.labels(fact.verb).inc()
                self._store_up.set(0)
                if self._away_since is None:
                    self._away_since = self._clock()
            case StoreBack():
                self._store_up.set(1)
                self._away_before_s, self._away_since = self._away_s(), None
            case SignalsUp():
                self._signals_up.set(1)
            case SignalsDown():
                self._signals_up.set(0)
                self._signals_lost.inc()
            case Pruned():
                for table, rows in fact.deleted.items():
                    self._pruned.labels(table).inc(rows)
            case _:
                assert_never(fact)

    def _away_s(self) -> float:
        return self._away_before_s + (0.0 if self._away_since is None else self._clock() - self._away_since)

    def _away(self) -> Iterator[Metric]:
        """A counter that also grows between two facts."""
        text = "Seconds without an answer of Supabase."
        yield CounterMetricFamily("stackbeat_store_away_seconds", text, value=self._away_s())


class _Sampled(Collector):
    """Metrics that are made when they are read."""

    def __init__(self, sample: Callable[[], Iterator[Metric]]) -> None:
        self._sample = sample

    def collect(self) -> Iterator[Metric]:
        yield from self._sample()


class _Vital(Collector):
    """What the daemon's parts say of themselves."""

    def __init__(self, read: ReadVitals) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        vitals = self._read()
        yield _sample("slots", "Stacks this daemon may work on at once.", vitals.slots)
        yield _sample("slots_free", "Slots without a stack.", vitals.slots_free)
        yield _sample("stacks_due", "Stacks that were due and nobody's at the last heartbeat.", vitals.due)
        waits = GaugeMetricFamily(
            "stackbeat_queue_oldest_seconds", "How long the oldest unanswered run has been waiting.", labels=["verb"]
        )
        waits.add_metric(["begin_runs"], vitals.begin_wait_s)
        waits.add_metric(["commit_runs"], vitals.commit_wait_s)
        yield waits
        yield _sample("backlog_seconds", "For how long some due stack has been waiting for a slot.", vitals.backlog_s)
        yield _sample("loop_age_seconds", "Since the loop's last turn.", vitals.loop_age_s)
        if vitals.contact_age_s is not None:
            yield _sample("store_contact_age_seconds", "Since Supabase's last answer.", vitals.contact_age_s)


def _sample(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"stackbeat_{name}", help_, value=value)


class _Lean(Collector):
    """A registry without the library's ``_created`` series, which would make a third of all lines and tell nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
