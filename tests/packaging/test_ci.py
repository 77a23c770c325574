"""The CI workflow runs what is here, and `scripts/test --on` says what it misses before it sets anything up."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml
from processes import ROOT, clean_environment

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
KEYS = {"SERVICE_ROLE_KEY": "s", "ANON_KEY": "a", "DB_URL": "postgresql://x"}
NO_KEYS = dict.fromkeys((*KEYS, "SECRET_KEY", "PUBLISHABLE_KEY"), "")  # whatever this shell has set


@pytest.fixture(scope="module")
def jobs() -> dict[str, list[dict[str, Any]]]:
    """The steps of each job, by its name."""
    return {name: job["steps"] for name, job in yaml.safe_load(WORKFLOW.read_text())["jobs"].items()}


def typed(steps: list[dict[str, Any]]) -> str:
    return "\n".join(step["run"] for step in steps if "run" in step)


def test_one_job_tests_on_minibase_and_one_on_the_supabase_it_starts(jobs: dict[str, list[dict[str, Any]]]) -> None:
    assert typed(jobs["minibase"]) == "scripts/test"
    lines = [line.strip() for line in typed(jobs["supabase-start"]).splitlines()]
    start, test = lines.index("scripts/official-cli start"), lines.index('scripts/test --on "$API_URL"')
    assert start < lines.index("scripts/official-cli status -o env > supabase.env") < test


def test_every_script_of_the_workflow_can_be_run(jobs: dict[str, list[dict[str, Any]]]) -> None:
    scripts = {name for steps in jobs.values() for name in re.findall(r"scripts/[\w-]+", typed(steps))}
    assert scripts == {"scripts/test", "scripts/official-cli"}
    assert all(os.access(ROOT / name, os.X_OK) for name in scripts)


def test_the_oldest_python_that_is_promised_is_the_one_that_is_tested(jobs: dict[str, list[dict[str, Any]]]) -> None:
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    for steps in jobs.values():
        (version,) = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
        assert promised == f">={version}"


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--on"], {}, "--on takes the address of a Supabase"),
        (["--on", "127.0.0.1:54321"], {}, "like http://127.0.0.1:54321, or the word minibase; it is '127.0.0.1:54321'"),
        (["--on=http://h"], {}, "--on http://h needs SUPABASE_SERVICE_ROLE_KEY"),
        (["--on", "http://h"], {**KEYS, "ANON_KEY": ""}, "--on http://h needs SUPABASE_PUBLISHABLE_KEY"),
        (["--on", "http://h"], {**KEYS, "DB_URL": ""}, "--on http://h needs DB_URL"),
    ],
)
def test_what_on_misses_is_said(options: list[str], environment: dict[str, str], said: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "test", *options],
        env=clean_environment({**NO_KEYS, **environment}),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
