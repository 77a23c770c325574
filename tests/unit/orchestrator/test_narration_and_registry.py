from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from importlib.metadata import EntryPoint

import pytest

from orchestrator.facts import BatchSent, Fact, ProviderAlarm, RunCommitted, StackClaimed
from orchestrator.observers import json_lines, log_lines
from orchestrator.registry import GROUP, RegistryError, load_agents

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


def told(*facts: Fact, colour: bool = False) -> str:
    out = io.StringIO()
    observe = log_lines(out, colour=colour, now=lambda: NOON)
    for fact in facts:
        observe(fact)
    return out.getvalue()


def test_people_read_names_and_are_spared_the_routine() -> None:
    text = told(CLAIMED, BatchSent(verb="commit_runs", items=3, took_ms=1.0), RUN)
    assert text == "12:00:00 Owls: builder build in 1.50 s, 42 tokens\n"


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
        ([("planner", "json:dumps")], "lacks name"),
        ([("builder", "agents.planner:agent")], "calls itself 'planner'"),
        ([("planner", "agents.planner:agent")] * 2, "two plug-ins"),
    ],
)
def test_broken_plug_ins_are_refused_by_name(points: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        load_agents([EntryPoint(name, value, GROUP) for name, value in points])
