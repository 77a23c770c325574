"""One seed is one history: event by event, id by id, also in another process with other hashes and addresses."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.database import Database
from simulation.history import play

PROCESS_S = 120


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_seed_played_again_is_the_same_history(seed: int, database: Database) -> None:
    first = play(seed, database)
    between = play(seed + 1_000, database)
    again = play(seed, database)
    assert len(first.log) > 50
    assert again.log == first.log
    assert between.log != first.log


def test_another_process_plays_the_same_history(database: Database) -> None:
    seed = 8
    log = play(seed, database).log
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "tests/simulation/test_one_seed.py",
    ]
    other = subprocess.run(
        [*command, "--seed", str(seed)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=PROCESS_S,
        check=False,
    )
    assert other.returncode == 0, other.stdout + other.stderr
    assert f"digest {hashlib.sha256(chr(10).join(log).encode()).hexdigest()}" in other.stdout
