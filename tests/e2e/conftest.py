"""A whole Stackbeat in real processes, with the simulated model."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from given import GIVEN
from processes import Stack, make_workdir, running_stack

from orchestrator.cli.embedded import discard_data


def how_long(fixture_name: str, config: pytest.Config) -> str:
    """A given Supabase is for one file at a time: the next one's daemons and tables must not be disturbed."""
    return "session" if GIVEN is None else "module"


@pytest.fixture(scope=how_long)
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One `stackbeat up` for all tests that leave it running: simulated model, no latency, a cadence of 5 s."""
    folder = make_workdir(tmp_path_factory.mktemp("live"))
    latency = os.environ.get("TEST_SIMULATED_LATENCY", "0")
    settings = {"STACKBEAT_SIMULATED_LATENCY": latency, "STACKBEAT_CADENCE_S": "5"}
    try:
        with running_stack(folder, "--metrics-port", "auto", environment=settings) as stack:
            yield stack
    finally:
        discard_data(folder)
