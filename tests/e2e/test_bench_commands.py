"""`stackbeat bench` from start to figures, on a throw-away minibase or the Supabase that was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from given import GIVEN, ROOT
from processes import clean_environment, stackbeat

from orchestrator.cli.errors import ExitCode


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        stackbeat("bench", *arguments), env=clean_environment(environment), capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("how", [(), ("--no-signals", "--busy", "2")])
def test_control_times_plays_and_stops_with_and_without_signals(how: tuple[str, ...]) -> None:
    given = {} if GIVEN is None else GIVEN.environment
    done = run("control", "--tries", "2", *how, "--json", STACKBEAT_CADENCE_S="1", **given)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["signals"] == ("--no-signals" not in how)
    for name in ("play_to_run_ms", "play_to_model_ms", "stop_to_cancel_ms"):
        assert found[name]["n"] == 2
        assert 0 <= found[name]["p50"] <= found[name]["p95"] <= found[name]["max"]


@pytest.mark.parametrize(
    ("options", "environment", "code", "words"),
    [
        ((), {}, ExitCode.USAGE, "set DB_URL"),
        ((), {"DB_URL": "postgresql://nobody@127.0.0.1:1/x"}, ExitCode.NO_SUPABASE, "DB_URL"),
        ((), {"DB_URL": "nonsense"}, ExitCode.NO_SUPABASE, "DB_URL"),
        (("--no-signals",), {"DB_URL": "x", "SUPABASE_URL": "https://a.invalid"}, ExitCode.USAGE, "plain http"),
    ],
)
def test_control_says_what_it_misses(
    options: tuple[str, ...], environment: dict[str, str], code: ExitCode, words: str
) -> None:
    settings = {"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SECRET_KEY": "sb_secret_none", **environment}
    done = run("control", "--tries", "1", *options, **settings)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_beat_says_that_there_is_no_supabase() -> None:
    done = run("beat", "--stacks", "1", SUPABASE_URL="http://127.0.0.1:1", SUPABASE_SECRET_KEY="sb_secret_none")
    assert done.returncode == ExitCode.NO_SUPABASE
    assert "cannot reach Supabase at http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.minibase_only("starts one of its own")
def test_rest_is_measured_beside_the_driver() -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'tests' / 'bench'}{os.pathsep}{ROOT / 'tests' / 'e2e'}"}
    done = subprocess.run(
        [sys.executable, "-m", "commands", "rest", "--connections", "2", "--seconds", "0.2", "--rounds", "1", "--json"],
        env=clean_environment(environment), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["requests"]
    assert [row["request"] for row in found] == ["one row", "a page of 100 rows", "insert a row"]
    for row in found:
        assert row["requests_per_s"] > 10
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["api / driver"] == pytest.approx(row["requests_per_s"] / row["driver_per_s"], abs=0.02)


def test_economy_counts_what_hours_of_a_fleet_ask() -> None:
    # The address would be nobody's: a clock is set only in a database of its own.
    done = run("economy", "--stacks", "2", "--hours", "1.2", "--json", SUPABASE_URL="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    roles = found["by_role"]
    assert set(roles) == {"planner", "builder", "reviewer", "communicator"}
    assert found["calls"] == sum(role["calls"] for role in roles.values()) >= found["runs"]
    assert roles["builder"]["calls"] >= found["artifacts"] >= 4
    assert found["calls_per_artifact"] == round(found["calls"] / found["artifacts"], 2)
    assert found["failed_runs"] == found["idle_calls"] == 0
    tokens = sum(role["calls"] * role["prompt_tokens"] for role in roles.values())
    assert found["prompt_tokens_per_stack_hour"] == pytest.approx(tokens / 2.4, rel=0.01)
    # Not less than the replies alone: a page each, at 0.60 USD for a million tokens.
    assert (
        found["usd"]["groq"]["usd"] > roles["builder"]["calls"] * found["assumed"]["reply_tokens"]["builder"] * 0.6e-6
    )
