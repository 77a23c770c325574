from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.facts import BatchSent, DaemonStopping, Fact, ProviderAlarm, SignalsUp
from orchestrator.observers import json_lines, log_lines
from orchestrator.registry import GROUP, RegistryError, load_agents
from orchestrator.sentences import sentence

from .conftest import CLAIMED, EVERY_FACT, RUN

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


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


def test_the_reference_names_every_fact_with_its_fields() -> None:
    reference = Path(__file__).parents[3] / "docs" / "observability.md"
    rows = re.findall(r"^\| `([A-Z]\w+)` \|([^|]*)\| [^|]+ \|$", reference.read_text(), re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    assert documented == {fact.__name__: [field.name for field in fields(fact)] for fact in get_args(Fact)}


def test_machines_read_every_fact_as_one_object() -> None:
    out = io.StringIO()
    observe = json_lines(out, now=lambda: NOON)
    for fact in EVERY_FACT:
        observe(fact)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["fact"] for line in lines] == [type(fact).__name__ for fact in EVERY_FACT]
    line = lines[EVERY_FACT.index(RUN)]
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
