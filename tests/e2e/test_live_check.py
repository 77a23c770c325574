"""`stackbeat bench live` against a provider over real HTTP: to the first artifact or to a limit, with a report."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from llmock.scenarios import Delay, Fail, Match, Reply
from llmock.testing import LLMockServer
from processes import ROOT, Stack, clean_environment, stackbeat

from orchestrator.cli.errors import ExitCode

PAGE = "<!doctype html><html lang='en'><head><title>Tea</title></head><body><h1>Tea timer</h1></body></html>"
PLAN = {
    "thinking": "A timer is one page.",
    "idea": {"title": "Tea timer", "description": "Counts down for tea."},
    "phase": "building",
    "add": [{"content": "Build the countdown", "priority": 8, "assigned_to": "builder"}],
    "update": [],
    "cancel": [],
}
BUILT = {"thinking": "Short.", "summary": "A countdown", "html": PAGE}


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        yield running


@pytest.fixture
def provider(server: LLMockServer) -> Iterator[LLMockServer]:
    """Plans with the small model and builds with the large one."""
    server.state.reset()
    for model, said in (("*-20b", PLAN), ("*-120b", BUILT)):
        server.state.scenarios.add(Reply(text=json.dumps(said), times=None, match=Match(model=model)))
    yield server
    server.state.reset()


def keyed(server: LLMockServer, given: Stack | None = None) -> dict[str, str]:
    groq = {"GROQ_API_KEY": "k", "GROQ_BASE_URL": server.base_url("groq").removesuffix("/openai/v1")}
    supabase = {} if given is None else {"SUPABASE_URL": given.api_url, "SUPABASE_SECRET_KEY": given.service_key}
    return groq | supabase


def check(
    folder: Path, environment: dict[str, str], *options: str, command: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(command or stackbeat("bench", "live")), *options],
        cwd=folder,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "live-check.json").read_text())
    assert (folder / "live-check.txt").read_text().startswith(found["said"])
    return found


def asked(server: LLMockServer) -> int:
    return sum(record.path.endswith("/chat/completions") for record in server.state.journal.records(wait=3))


def test_a_key_brings_a_stack_to_its_first_artifact(provider: LLMockServer, tmp_path: Path) -> None:
    done = check(tmp_path, keyed(provider), command=[str(ROOT / "scripts" / "live-check")])
    assert done.returncode == 0, done.stderr
    found = report(tmp_path)
    assert found["verdict"] == "artifact"
    assert found["calls"] == asked(provider) == sum(len(run["calls"]) for run in found["runs"])
    assert [run["agent"] for run in found["runs"]][:2] == ["planner", "builder"]
    assert {run["status"] for run in found["runs"]} == {"completed"}
    calls = [call for run in found["runs"] for call in run["calls"]]
    assert found["tokens_in"] == sum(call["tokens_in"] for call in calls) > 0
    assert found["tokens_out"] == sum(call["tokens_out"] for call in calls) > 0
    assert Decimal(found["cost_usd"]) == sum(Decimal(call["cost_usd"]) for call in calls) > 0
    assert 0 < found["seconds"] < found["time_limit_s"]
    assert (found["spending_cap_usd"], found["artifact"]["version"]) == ("0.25", 1)
    assert (tmp_path / "live-check.html").read_text() == PAGE
    assert "groq (openai/gpt-oss-20b) answered" in done.stderr, "progress says who answered"


def test_a_cap_that_is_too_small_asks_nobody(provider: LLMockServer, live_stack: Stack, tmp_path: Path) -> None:
    before = live_stack.sql("select count(*) from agent_stacks")
    done = check(tmp_path, keyed(provider, live_stack), "--cap", "0.0001")
    assert done.returncode == ExitCode.FAILED
    found = report(tmp_path)
    assert (found["verdict"], found["calls"], asked(provider)) == ("budget", 0, 0)
    assert "--cap" in found["said"]
    assert live_stack.sql("select count(*) from agent_stacks") == before, "nothing of it stays in the given Supabase"
    assert live_stack.sql("select count(*) from budgets where usd = 0.0001") == [["0"]]


def test_a_key_that_is_denied_ends_it_at_once(provider: LLMockServer, live_stack: Stack, tmp_path: Path) -> None:
    provider.state.scenarios.add(Fail(401, times=None))
    done = check(tmp_path, keyed(provider, live_stack))
    assert done.returncode == ExitCode.FAILED
    found = report(tmp_path)
    assert (found["verdict"], found["calls"], asked(provider)) == ("denied", 1, 1)
    assert "401" in found["said"]
    assert "401" in found["runs"][0]["calls"][0]["error"]


def test_a_provider_that_hangs_meets_the_time_limit(provider: LLMockServer, live_stack: Stack, tmp_path: Path) -> None:
    provider.state.scenarios.add(Delay(30, times=None))
    done = check(tmp_path, keyed(provider, live_stack), "--limit", "3", "--report", "hung.json")
    assert done.returncode == ExitCode.NO_ANSWER
    found = json.loads((tmp_path / "hung.json").read_text())
    assert found["verdict"] == "time"
    assert found["seconds"] < 10
    assert "did not answer" in found["runs"][0]["calls"][0]["error"], "what was asked is in the report"


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    done = check(tmp_path, {})
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "error: no provider key is set: set GROQ_API_KEY or OPENAI_API_KEY to ask a real model\n"
    assert list(tmp_path.iterdir()) == []
