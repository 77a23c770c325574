from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.facts import (
    AgentBroke,
    BatchSent,
    BeatDone,
    CallAttempted,
    CycleBroke,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    Fact,
    LeaseLost,
    OutcomeDropped,
    PriceUnknown,
    ProviderAlarm,
    Pruned,
    ReplyReused,
    RunBegun,
    RunCommitted,
    RunRefused,
    SignalsDown,
    SignalsUp,
    StackClaimed,
    StackSettled,
    StackUnreadable,
    StoreAway,
    StoreBack,
)
from orchestrator.observers import json_lines, log_lines
from orchestrator.registry import GROUP, RegistryError, load_agents
from orchestrator.sentences import sentence

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLAIMED = StackClaimed(stack="s1", name="Owls", fence=1, overruns=0)
RUN = RunCommitted(
    stack="s1",
    agent="builder",
    run="r1",
    status="completed",
    verdict="done",
    action="build",
    took_ms=1500,
    commit_ms=9,
    tokens=42,
    cost_usd=0.0,
    error=None,
)

EVERY_FACT: tuple[Fact, ...] = (
    DaemonStarted(
        worker="w" * 36,
        url="http://h",
        providers=("groq",),
        simulated=False,
        agents=("builder",),
        slots=9,
        cadence_s=10,
    ),
    DaemonStopping(running=2, grace_s=1),
    DaemonStopped(worker="w", abandoned=1),
    BeatDone(cause="timer", claimed=1, free_slots=3, took_ms=2, lag_ms=4),
    CLAIMED,
    StackSettled(stack="s1", due_in_ms=None, reason=None),
    StackUnreadable(stack="s1", error="a\nb"),
    AgentBroke(stack="s1", agent="builder", where="ask", error="a\nKeyError: 1"),
    CycleBroke(stack="s1", error="a\nKeyError: 1"),
    RunBegun(stack="s1", agent="builder", run="r1", priority=1, reason="a todo", attempt=2),
    RunRefused(stack="s1", agent="builder", verdict="paused", reason="by SQL"),
    ReplyReused(stack="s1", agent="builder", run="r1", call="c1"),
    RUN,
    BatchSent(verb="commit_runs", items=1, took_ms=3),
    CallAttempted(
        role="large",
        provider="groq",
        model="m",
        attempt=1,
        latency_ms=9,
        tokens_in=1,
        tokens_out=1,
        cost_usd=0,
        error="x",
    ),
    PriceUnknown(provider="groq", model="m"),
    ProviderAlarm(provider="groq", model="m", error="401"),
    LeaseLost(stack="s1", cause="the database says so"),
    StoreAway(verb="heartbeat", error="down", retry_s=1),
    StoreBack(verb="heartbeat"),
    OutcomeDropped(stack="s1", run="r1", error="x"),
    Pruned(deleted={"agent_traces": 3, "llm_calls": 0}),
    SignalsUp(),
    SignalsDown(error="gone", retry_s=1),
)


def told(*facts: Fact, colour: bool = False) -> str:
    out = io.StringIO()
    observe = log_lines(out, colour=colour, now=lambda: NOON)
    for fact in facts:
        observe(fact)
    return out.getvalue()


def test_people_read_names_and_are_spared_the_routine() -> None:
    text = told(CLAIMED, BatchSent(verb="commit_runs", items=3, took_ms=1.0), RUN)
    assert text == "12:00:00 Owls: the builder built a version (1.50 s, 42 tokens)\n"


def test_every_fact_is_a_sentence_and_no_list_of_fields() -> None:
    for fact in EVERY_FACT:
        text = sentence(fact, "Owls")
        assert type(fact).__name__ not in text
        assert "=" not in text
        assert "\n" not in text
    assert {type(fact) for fact in EVERY_FACT} == set(get_args(Fact))


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (SignalsUp(), "realtime is connected: changes are heard at once"),
        (replace(RUN, action="wave_hello"), "the builder wave hello (1.50 s, 42 tokens)"),
        (replace(RUN, status="failed", error="Trace\nKeyError: 'x'"), "failed (1.50 s, 42 tokens): KeyError: 'x'"),
        (replace(RUN, verdict="stale", cost_usd=0.5), "(1.50 s, 42 tokens, $0.5000, not stored: stale)"),
        (DaemonStopping(running=1, grace_s=1.5), "1 stack may finish within 1.5 s"),
        (DaemonStopping(running=0, grace_s=1.5), "stopping\n"),
    ],
)
def test_what_people_read(fact: Fact, words: str) -> None:
    assert words in told(fact)


def test_a_name_does_not_drive_the_terminal() -> None:
    text = told(replace(CLAIMED, name="\x1b[2JOwls\x07"), RUN)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "Owls" in text


def test_alarms_are_red_and_only_where_colours_are_wanted() -> None:
    alarm = ProviderAlarm(provider="groq", model="m", error="401")
    assert told(alarm, colour=True).startswith("\x1b[31m")
    assert "\x1b" not in told(alarm)


def test_machines_read_every_fact_as_one_object() -> None:
    out = io.StringIO()
    json_lines(out, now=lambda: NOON)(RUN)
    line = json.loads(out.getvalue())
    assert (line["fact"], line["agent"], line["at"]) == ("RunCommitted", "builder", "2026-11-22T12:00:00+00:00")


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "no agents are installed"),
        ([("planner", "agents.nowhere:agent")], "cannot be loaded"),
        ([("planner", "unfinished:agent")], r"unfinished:agent.*SyntaxError.*unfinished\.py, line 2"),
        ([("planner", "careless:agent")], r"careless:agent.*ZeroDivisionError: .*careless\.py, line 1"),
        ([("planner", "json:dumps")], "lacks name"),
        ([("builder", "agents.planner:agent")], "calls itself 'planner'"),
        ([("planner", "agents.planner:agent")] * 2, "two plug-ins"),
    ],
)
def test_broken_plug_ins_are_refused_by_name(
    points: list[tuple[str, str]], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfinished.py").write_text("agent = 1\ndef work(:\n")
    (tmp_path / "careless.py").write_text("agent = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RegistryError, match=words):
        load_agents([EntryPoint(name, value, GROUP) for name, value in points])
