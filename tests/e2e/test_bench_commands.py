"""`stackbeat bench` from start to figures, on a throw-away minibase."""

from __future__ import annotations

import json
import subprocess

import pytest
from processes import clean_environment, stackbeat

from orchestrator.cli.errors import ExitCode


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        stackbeat("bench", *arguments), env=clean_environment(environment), capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("how", [(), ("--no-signals", "--busy", "2")])
def test_control_times_plays_and_stops_with_and_without_signals(how: tuple[str, ...]) -> None:
    done = run("control", "--tries", "2", *how, "--json", STACKBEAT_CADENCE_S="1")
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
