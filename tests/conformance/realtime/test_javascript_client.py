"""The same over the official JavaScript client: one run of Node, whose own tests are in `javascript/`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from place import Place
from processes import DASHBOARD, find_node

SUITE = Path(__file__).parent / "javascript" / "client.test.mjs"


def run_suite(place: Place, rounds: int, seconds: int) -> None:
    """Client and websocket library are those that the dashboard is built with."""
    done = subprocess.run(
        [find_node(), "--test", "--test-reporter=spec", str(SUITE)],
        cwd=DASHBOARD,
        env={**place.environment, "REALTIME_ROUNDS": str(rounds)},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_the_client_relies_on(place: Place) -> None:
    run_suite(place, 30, 120)


@pytest.mark.slow
def test_an_insert_right_after_the_join_arrives_1000_times(place: Place) -> None:
    run_suite(place, 1000, 600)
