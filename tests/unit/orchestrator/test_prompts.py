"""A prompt of one's own: where it is looked for, when it is read again, and what each mistake says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from agents.simulated import simulate
from agents.testing import FakeStack
from orchestrator.cli.daemon import daemon_settings
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.config import AgentSettings, Config, ConfigError
from orchestrator.facts import Fact, PromptRead, ignore
from orchestrator.prompts import LONGEST, with_prompts
from orchestrator.registry import load_agents

GOOD = {"SUPABASE_URL": "http://127.0.0.1:54321", "SUPABASE_SECRET_KEY": "sb_secret_abcdefghijklmnopqrstuv_12345678"}


def settings(folder: Path, toml: str) -> Config:
    file = folder / "stackbeat.toml"
    file.write_text(toml)
    return Config.load(GOOD, file)


def replace_file(path: Path, text: str) -> None:
    """As editors do: a new file in the old one's place, which no coarse clock can hide."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


def test_a_prompt_lies_beside_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config = settings(tmp_path, '[agents.builder]\nprompt = "prompts/builder.md"')
    assert config.agents["builder"].prompt == tmp_path / "prompts" / "builder.md"


def test_only_the_named_agent_is_told_something_else_and_a_change_counts_at_once(tmp_path: Path) -> None:
    prompt = tmp_path / "planner.md"
    prompt.write_text("Plan boats.\n")
    facts: list[Fact] = []
    installed = load_agents()
    agents = with_prompts(installed, {"planner": AgentSettings(prompt=prompt)}, facts.append)
    stack = FakeStack()
    snapshot = stack.snapshot()
    (work,) = agents["planner"].find_work(snapshot, stack.now).work

    asked, before = agents["planner"].ask(snapshot, work), installed["planner"].ask(snapshot, work)
    assert asked.system == "Plan boats."
    assert (asked.user, asked.output, asked.tier) == (before.user, before.output, before.tier)
    assert agents["builder"] is installed["builder"]
    assert agents["planner"].excludes == installed["planner"].excludes

    replace_file(prompt, "Plan ships.")
    assert agents["planner"].ask(snapshot, work).system == "Plan ships."
    replace_file(prompt, "   \n")
    assert agents["planner"].ask(snapshot, work).system == "Plan ships."
    prompt.unlink()
    assert agents["planner"].ask(snapshot, work).system == "Plan ships."
    assert agents["planner"].ask(snapshot, work).system == "Plan ships."

    told = [(fact.agent, fact.error) for fact in facts if isinstance(fact, PromptRead)]
    assert [error is None for _, error in told] == [True, True, False, False], "each state of the file is told once"
    assert "the file is empty" in str(told[2][1])
    assert "No such file" in str(told[3][1])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory; correct the path"),
        (b"", "the file is empty; write instructions into it"),
        (b"\xff\xfe", "this is not UTF-8 text; save it as such"),
        (b"x" * (LONGEST + 1), f"{LONGEST + 1} characters, at most {LONGEST} are allowed; shorten it"),
    ],
)
def test_an_unusable_prompt_ends_the_command_before_anything_starts(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    (tmp_path / "stackbeat.toml").write_text('[agents.builder]\nprompt = "builder.md"')
    if content is not None:
        (tmp_path / "builder.md").write_bytes(content)
    with pytest.raises(CliError) as caught:
        daemon_settings(GOOD, tmp_path, None)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value) == f"agents.builder.prompt = {str(tmp_path / 'builder.md')!r}: {sentence}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bilder", "; did you mean builder?"),
        ("xyzzy", ": there are "),
    ],
)
def test_settings_of_an_agent_that_is_not_installed(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"names an agent that is not installed{hint}")):
        with_prompts(load_agents(), {name: AgentSettings(prompt=tmp_path / "x.md")}, ignore)


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key agents\.builder\.promt"):
        settings(tmp_path, '[agents.builder]\npromt = "x"')


def test_the_simulated_model_signs_its_thinking_where_the_instructions_say_so() -> None:
    context = {"role": "planner", "stack": {"name": "Owls"}, "idea": None}
    plain = simulate("planner", context, "s")
    told = {**context, "instructions": 'You plan.\nSign your thinking with "Ada".'}
    assert simulate("planner", told, "s") == {**plain, "thinking": f"{plain['thinking']} Ada"}
    assert simulate("planner", {**context, "instructions": "Sign nothing."}, "s") == plain
