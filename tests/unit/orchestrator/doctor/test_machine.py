"""`stackbeat doctor` on this machine: room on the disk, ports, who may read the secrets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.doctor.findings import Level
from orchestrator.doctor.machine import MEGABYTE, check_disk, check_ports, check_secrets, judge_disk


@pytest.mark.parametrize(
    ("free_mb", "level", "said"),
    [
        (100_000, Level.OK, "100,000 MB free for /data"),
        (1_999, Level.WARN, "only 1,999 MB free for /data"),
        (199, Level.FAIL, "only 199 MB free for /data"),
        (0, Level.FAIL, "only 0 MB free for /data"),
    ],
)
def test_room_on_the_disk(free_mb: int, level: Level, said: str) -> None:
    finding = judge_disk(Path("/data"), free_mb * MEGABYTE)
    assert (finding.level, finding.said) == (level, said)
    assert ("make room" in finding.todo) == (level is not Level.OK)


def test_a_folder_that_takes_nothing_is_told() -> None:
    finding = judge_disk(Path("/data"), 10**12, may_write=False)
    assert (finding.level, finding.said) == (Level.FAIL, "/data cannot be written to")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where this user may mount one."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root on Linux may mount a small disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_is_full_is_told(small_disk: Path) -> None:
    finding = check_disk(small_disk)
    assert (finding.level, finding.said) == (Level.FAIL, f"only 1 MB free for {small_disk}")


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = {taken.getsockname()[1]: "the API (--port)"}
        finding = check_ports(ports)
        number = free.getsockname()[1]
    assert finding.level is Level.WARN
    assert finding.said == f"in use by another program: port {next(iter(ports))} for the API (--port)"
    assert "--port auto" in finding.todo
    assert check_ports({number: "the dashboard (--web-port)"}).level is Level.OK


def test_secrets_that_others_can_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert check_secrets(file) is None
    file.write_text("")
    file.chmod(0o644)
    finding = check_secrets(file)
    assert finding is not None
    assert (finding.level, finding.todo) == (Level.WARN, f"type: chmod 600 {file}")
    file.chmod(0o600)
    assert check_secrets(file) is None
