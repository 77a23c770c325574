"""The reference names everything there is and nothing else: a missing or stale line of it fails here.

Facts and metrics stand in docs/observability.md, which tests/unit/orchestrator compares, types and labels included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from processes import ROOT
from pydantic import BaseModel

from orchestrator.cli.errors import ExitCode
from orchestrator.config import ENVIRONMENT, Config, Latency
from orchestrator.llm.values import Fault
from orchestrator.store import StoreFault
from orchestrator.verbs import VERSION, BeginVerdict, CommitVerdict

from .sentences import raised

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"no heading {title!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """The first cell of each row that begins with something in back-quotes."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_every_table_and_column_is_described(catalogue: Any) -> None:
    parts = re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", page("tables.md"), re.DOTALL | re.MULTILINE)
    assert {name: tuple(first_cells(text)) for name, text in parts} == catalogue.columns
    for name, text in parts:
        for cells in re.findall(r"^\| `\w+` \|(.*)\|$", text, re.MULTILINE):
            assert cells.strip(), f"{name} has a column without a meaning"


def test_who_reads_a_table_and_what_is_published_is_said(catalogue: Any) -> None:
    parts = dict(re.findall(r"^### (\S+)\n(.*?)(?=^\| column)", page("tables.md"), re.DOTALL | re.MULTILINE))
    said = {name: " ".join(text.split()) for name, text in parts.items()}
    assert {name for name, text in said.items() if re.search(r"\bPublished\b", text)} == catalogue.published
    assert {
        name for name, text in said.items() if re.search(r"\b[Ee]verybody reads\b", text)
    } == catalogue.visitors_read


@pytest.mark.parametrize(
    ("table", "column", "title"),
    [
        ("todos", "status", "status of a todo"),
        ("user_messages", "status", "status of a visitor's line"),
        ("message_reads", "status", "status of a reading"),
        ("agent_executions", "status", "status of a run"),
    ],
)
def test_every_state_is_described(catalogue: Any, table: str, column: str, title: str) -> None:
    assert first_cells(section(page("states.md"), title)) == words(catalogue, table, column)


def test_every_state_and_phase_of_a_stack_is_described(catalogue: Any) -> None:
    text = page("states.md")
    assert first_cells(section(text, "execution_state of a stack"))[0] == "idle"
    rows = [row for row in first_cells(section(text, "execution_state of a stack")) if row != "from"]
    assert rows == words(catalogue, "agent_stacks", "execution_state")
    first_line = section(text, "Phases").strip().splitlines()[0]
    assert re.findall(r"`(\w+)`", first_line)[:4] == words(catalogue, "agent_stacks", "phase")


def words(catalogue: Any, table: str, column: str) -> list[str]:
    (check,) = [text for name, text in catalogue.checks if name == f"public.{table}" and f"({column} = ANY" in text]
    return re.findall(r"'(\w+)'::text", check)


def test_every_verb_is_described_with_its_verdicts(catalogue: Any) -> None:
    text = page("verbs.md")
    assert set(first_cells(text)) == catalogue.verbs
    assert f"version, {VERSION}." in " ".join(text.split())
    for verb, verdicts in (("begin_runs", BeginVerdict), ("commit_runs", CommitVerdict)):
        (row,) = re.findall(rf"^\| `{verb}`.*$", text, re.MULTILINE)
        assert {verdict.value for verdict in verdicts} <= set(re.findall(r"`(\w+)`", row))


def test_every_sentence_of_the_database_is_listed_under_its_code(catalogue: Any) -> None:
    raised = re.compile(r"raise exception '((?:[^']|'')+)'.*?errcode = '(\w+)'", re.DOTALL)
    said = {(code, text.replace("%", "…")) for body in catalogue.bodies for text, code in raised.findall(body)}
    assert sum(len(re.findall(r"raise exception", body)) for body in catalogue.bodies) >= len(said) > 10
    listed = re.findall(
        r"^\| `(\w{5})` \| ([^|]+) \|", section(page("errors.md"), "What the database says"), re.MULTILINE
    )
    assert {(code, text.strip()) for code, text in listed} == said


def test_every_sentence_of_the_program_is_listed_once() -> None:
    text, source = page("errors.md"), ROOT / "orchestrator"
    said = re.findall(r"^\| `([^`]+)` \| (.+) \|$", section(text, "What the command line says"), re.MULTILINE)
    assert sorted((sentence, code) for code, sentence in said) == sorted(raised(source, "CliError"))
    of_settings = re.findall(r"^\| (.+) \|$", section(text, "What the settings say"), re.MULTILINE)[1:]
    assert sorted(of_settings) == sorted({sentence for sentence, _ in raised(source, "ConfigError")})


def test_every_exit_code_and_fault_is_listed() -> None:
    text = page("errors.md")
    codes = re.findall(r"^\| (\d+) \| `(\w+)` \|", section(text, "Exit codes"), re.MULTILINE)
    assert [(int(number), name) for number, name in codes] == [(code.value, code.name) for code in ExitCode]
    assert first_cells(section(text, "What a daemon says of Supabase")) == [fault.value for fault in StoreFault]
    ends = first_cells(section(text, "What a model's call ended with"))
    assert set(ends) == {"answered", "cancelled", *(fault.value for fault in Fault)}


def test_the_command_line_s_page_lists_the_same_exit_codes() -> None:
    codes = re.findall(r"^\| (\d+) \| [^|]+ \|$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert [int(code) for code in codes] == [code.value for code in ExitCode]


def test_every_setting_is_listed_with_its_default_and_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKBEAT_OFFLINE", raising=False)
    rows = re.findall(r"^\| `([\w.]+)` \| ([^|]*) \| ([^|]*)\| [^|]*\|$", page("configuration.md"), re.MULTILINE)
    listed = {key: (default.strip().strip("`"), set(re.findall(r"`(\w+)`", names))) for key, default, names in rows}
    environment: dict[str, set[str]] = {}
    for name, path in ENVIRONMENT.items():
        environment.setdefault(".".join(path), set()).add(name)
    assert listed == {key: (default, environment.get(key, set())) for key, default in _settings(Config)}


def _settings(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str]]:
    """Every key of the configuration and its default, as TOML has it."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        inner = [one for one in get_args(kind) if isinstance(one, type) and issubclass(one, BaseModel)]
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Latency:
            yield from _settings(kind, f"{before}{name}.")
        elif get_origin(kind) is not None and inner:
            yield from _settings(inner[0], f"{before}{name}.NAME.")
        else:
            yield (
                f"{before}{name}",
                _as_toml(None if field.is_required() else field.get_default(call_default_factory=True)),
            )


def _as_toml(value: Any) -> str:
    if isinstance(value, Latency):
        value = f"{value.low:g}-{value.high:g}"
    return "none" if value is None else json.dumps(value)


def test_the_map_leads_to_every_page() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", text)}
    pages = {path.resolve() for path in (ROOT / "docs").rglob("*.md")} - {(ROOT / "docs" / "README.md").resolve()}
    assert sorted(str(path.relative_to(ROOT)) for path in pages - linked) == []
    assert Path(ROOT / "CHANGELOG.md").resolve() in linked
