"""What facts become for Prometheus, read back with the library's own parser; the reference table says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.facts import (
    DaemonStarted,
    DaemonStopped,
    Fact,
    MonitorServed,
    PriceUnknown,
    PromptRead,
    SavingBegan,
    SavingEnded,
    StoreAway,
    StoreBack,
)
from orchestrator.monitor.metrics import Metrics
from orchestrator.monitor.vitals import Vitals

from .conftest import EVERY_FACT, RUN

REFERENCE = Path(__file__).parents[3] / "docs" / "observability.md"
# Before the first scrape, after the last one, and what is counted call by call.
WITHOUT_A_METRIC = {MonitorServed, DaemonStopped, PriceUnknown, PromptRead}
VITALS = Vitals(
    slots=200, slots_free=150, due=7, begin_wait_s=0.5, commit_wait_s=1.5, backlog_s=0, contact_age_s=2.5, loop_age_s=3
)
AWAY = StoreAway(verb="heartbeat", error="down", retry_s=1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock=clock)


def families(metrics: Metrics) -> Iterator[Metric]:
    body, content_type = metrics.render("")
    assert content_type.startswith("text/plain; version=0.0.4")
    return text_string_to_metric_families(body.decode())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    found = [
        sample.value
        for family in families(metrics)
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    return found[0] if found else None


def ours(metrics: Metrics) -> str:
    """Everything but the process's own figures, which move by themselves."""
    return "\n".join(line for line in metrics.render("")[0].decode().splitlines() if "stackbeat_" in line)


def test_every_kind_of_fact_moves_a_metric_or_is_named_as_one_that_does_not() -> None:
    assert {type(fact) for fact in EVERY_FACT} == set(get_args(Fact))
    still = set()
    for fact in EVERY_FACT:
        metrics = Metrics(clock=Clock())
        if isinstance(fact, StoreBack):
            metrics.observe(AWAY)
        if isinstance(fact, SavingEnded):
            metrics.observe(SavingBegan(budget=fact.budget, step="slow", share=0.5))
        before = ours(metrics)
        metrics.observe(fact)
        if ours(metrics) == before:
            still.add(type(fact))
    assert still == WITHOUT_A_METRIC


def test_a_run_is_counted_by_agent_status_and_verdict_and_timed(metrics: Metrics) -> None:
    metrics.observe(RUN)
    metrics.observe(replace(RUN, verdict="stale", trigger_to_trace_ms=None))
    assert value(metrics, "stackbeat_runs_total", agent="builder", status="completed", verdict="done") == 1
    assert value(metrics, "stackbeat_runs_total", agent="builder", status="completed", verdict="stale") == 1
    assert value(metrics, "stackbeat_run_duration_seconds_sum", agent="builder") == 3.0
    assert value(metrics, "stackbeat_trigger_to_trace_seconds_count", agent="builder") == 1, (
        "what did not land is not in"
    )
    assert value(metrics, "stackbeat_trigger_to_trace_seconds_bucket", agent="builder", le="1.0") == 0
    assert value(metrics, "stackbeat_trigger_to_trace_seconds_bucket", agent="builder", le="2.5") == 1


def test_time_away_grows_while_it_lasts_and_is_counted_once(metrics: Metrics, clock: Clock) -> None:
    metrics.observe(AWAY)
    clock.now += 2
    metrics.observe(AWAY)
    clock.now += 1
    assert value(metrics, "stackbeat_store_away_seconds_total") == 3
    assert value(metrics, "stackbeat_store_up") == 0
    metrics.observe(StoreBack(verb="heartbeat"))
    clock.now += 60
    assert value(metrics, "stackbeat_store_away_seconds_total") == 3
    assert value(metrics, "stackbeat_store_up") == 1
    assert value(metrics, "stackbeat_store_retries_total", verb="heartbeat") == 2


def test_vitals_are_read_at_each_scrape(metrics: Metrics) -> None:
    assert value(metrics, "stackbeat_slots") is None, "a daemon that has not begun says nothing of its slots"
    vitals = VITALS
    metrics.watch(lambda: vitals)
    assert value(metrics, "stackbeat_slots_free") == 150
    assert value(metrics, "stackbeat_queue_oldest_seconds", verb="commit_runs") == 1.5
    vitals = replace(VITALS, slots_free=149, contact_age_s=None)
    assert value(metrics, "stackbeat_slots_free") == 149
    assert value(metrics, "stackbeat_store_contact_age_seconds") is None


def test_two_daemons_of_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics()
    metrics.observe(RUN)
    assert value(other, "stackbeat_commit_duration_seconds_count") == 0


def test_no_label_carries_a_stack_a_run_or_a_text(metrics: Metrics) -> None:
    for fact in EVERY_FACT:
        metrics.observe(fact)
    bounded = {
        "agent", "cause", "direction", "le", "model", "outcome", "provider", "providers", "simulated", "status",
        "table", "verb", "verdict",
    }  # fmt: skip
    assert {label for family in families(metrics) for sample in family.samples for label in sample.labels} == bounded


def test_openmetrics_is_served_to_those_who_ask(metrics: Metrics) -> None:
    for fact in EVERY_FACT:
        metrics.observe(fact)
    body, content_type = metrics.render("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "stackbeat_runs" in {family.name for family in parse_openmetrics(body.decode())}


def served(metrics: Metrics) -> dict[str, tuple[str, frozenset[str]]]:
    """Name -> type and labels of every metric of ours, once all facts were told."""
    metrics.watch(lambda: VITALS)
    for fact in EVERY_FACT:
        metrics.observe(fact)
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
        )
        for family in families(metrics)
        if family.name.startswith("stackbeat_")
    }


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(stackbeat_\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", REFERENCE.read_text(), re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows}), "a metric stands twice in the table"
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_reference_table_and_what_is_served_agree(metrics: Metrics) -> None:
    assert documented() == served(metrics)


def test_rules_and_queries_of_the_reference_name_metrics_that_are_served(metrics: Metrics) -> None:
    known = served(metrics)
    named = set(re.findall(r"\bstackbeat_\w+", REFERENCE.read_text()))
    suffixed = {name + suffix for name in known for suffix in ("", "_bucket", "_sum", "_count")}
    assert named <= suffixed


def test_a_daemon_says_what_it_was_started_with(metrics: Metrics) -> None:
    started = next(fact for fact in EVERY_FACT if isinstance(fact, DaemonStarted))
    metrics.observe(replace(started, providers=("groq", "openai")))
    assert value(metrics, "stackbeat_daemon_info", providers="groq,openai", simulated="false") == 1
    assert value(metrics, "stackbeat_cadence_seconds") == 10
