"""`stackbeat init` and `stackbeat doctor` as a newcomer types them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from given import GIVEN
from processes import Stack, clean_environment, stackbeat

from orchestrator.cli.errors import ExitCode


def run(workdir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        stackbeat(*arguments),
        cwd=workdir,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_a_running_stack_is_well(live_stack: Stack) -> None:
    done = live_stack.run("doctor", "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, report["healthy"], report["skipped"]) == (0, True, []), done.stdout
    checks = {finding["check"]: finding for finding in report["findings"]}
    assert {"address", "migrations", "realtime, public key", "models, simulated", "disk", "ports"} <= set(checks)
    assert {finding["level"] for finding in report["findings"]} <= {"ok", "warn"}
    found = "`stackbeat up` runs in this folder" if GIVEN is None else "SUPABASE_URL is set"
    assert found in checks["address"]["said"]
    assert live_stack.service_key not in done.stdout + done.stderr
    assert live_stack.publishable_key not in done.stdout + done.stderr


def test_a_fresh_folder_is_told_what_to_type(workdir: Path) -> None:
    done = run(workdir, "doctor")
    assert done.returncode == ExitCode.FAILED
    assert f"no Supabase: nothing runs in {workdir} and SUPABASE_URL is not set" in done.stdout
    assert "-> start one with `stackbeat up`, or set SUPABASE_URL and its keys in .env" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 failed, ")
    assert done.stderr == ""


def test_the_keys_of_the_env_file_are_looked_at_and_never_printed(live_stack: Stack, workdir: Path) -> None:
    assert run(workdir, "init").returncode == 0
    env = workdir / ".env"
    fresh = env.read_text()
    env.write_text(
        f"{fresh}\nSUPABASE_URL={live_stack.api_url}\nSUPABASE_SECRET_KEY={live_stack.publishable_key}\n"
        f"SUPABASE_PUBLISHABLE_KEY='{live_stack.service_key}'\n"
    )
    swapped = run(workdir, "doctor")
    assert swapped.returncode == ExitCode.FAILED
    assert "the keys are swapped: SUPABASE_SECRET_KEY holds the public one" in swapped.stdout
    assert live_stack.service_key not in swapped.stdout + swapped.stderr

    env.write_text(
        f"{fresh}\nSUPABASE_URL={live_stack.api_url}\nSUPABASE_SECRET_KEY={live_stack.service_key}\n"
        f"SUPABASE_PUBLISHABLE_KEY='{live_stack.publishable_key}'\n"
    )
    mended = run(workdir, "doctor", "--timeout", "20")
    assert mended.returncode == 0, mended.stdout
    assert "SUPABASE_SECRET_KEY is accepted" in mended.stdout
    assert run(workdir, "ls", "--json").returncode == 0, "every other command reads the file too"


def test_settings_that_are_wrong_do_not_hide_the_rest(workdir: Path) -> None:
    (workdir / "stackbeat.toml").write_text("cadense_s = 3\n")
    (workdir / ".env").write_text("SUPABASE_URL http://h\n")
    done = run(workdir, "doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == ExitCode.FAILED
    assert "did you mean cadence_s?" in found["settings"]["said"]
    assert f"{workdir / '.env'}, line 1: write NAME=value" in found[".env"]["said"]
    assert "chmod 600" in found["secrets"]["todo"]
    assert found["disk"]["level"] in {"ok", "warn"}
