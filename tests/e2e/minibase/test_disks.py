"""Disks that are full or read-only: one sentence, nothing lost, and on it goes when there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from processes import clean_environment, stackbeat
from project_folder import Folder, wait_for

pytestmark = [
    pytest.mark.minibase_only("fills the disk it is on"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk to fill"),
]


@contextmanager
def mounted(megabytes: int) -> Iterator[Path]:
    """A disk of its own, which the account that runs PostgreSQL for root can reach."""
    with tempfile.TemporaryDirectory(prefix="minibase-disk-") as folder:
        Path(folder).chmod(0o711)
        disk = Path(folder) / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "tmpfs", str(disk)]
        if subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("this system (a container, most likely) does not let root mount a disk")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def disk() -> Iterator[Path]:
    with mounted(220) as made:
        yield made


def fill(disk: Path) -> Path:
    """Nothing fits any more."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return filler


def test_a_disk_that_runs_full_and_has_room_again(folder: Folder, disk: Path) -> None:
    data = disk / "data"
    data.mkdir(mode=0o711)
    data.chmod(0o711)
    (data / "project").write_text(f"{folder.workdir}\n")
    folder.state.mkdir(mode=0o700)
    (folder.state / "data-folder").write_text(f"{data}\n")
    folder.start()
    folder.sql("grant all on notes to anon")
    values = folder.values()

    def write(number: int) -> httpx.Response:
        return httpx.post(
            f"{values['API_URL']}/rest/v1/notes",
            headers={"apikey": values["PUBLISHABLE_KEY"]},
            json=[{"id": number + n, "text": os.urandom(4000).hex()} for n in range(200)],
            timeout=30,
        )

    filler = fill(disk)
    landed = 1  # the seed's
    refused = None
    for attempt in range(40):  # what the log and the tables have set aside is used up first
        answer = write(1000 * (attempt + 1))
        if answer.status_code != 201:
            refused = answer
            break
        landed += 200
    assert refused is not None
    assert refused.status_code in (500, 503), refused.text
    assert refused.json()["code"] in ("53100", "PGRST000", "PGRST001", "PGRST002", "57P03"), refused.text
    filler.unlink()
    wait_for("it writes again", lambda: write(1_000_000).status_code == 201, seconds=40)
    assert folder.sql("select count(*) from notes") == str(landed + 200)
    assert folder.sql("select count(*) from notes where length(text) not in (6, 8000)") == "0"

    assert folder.run("stop").returncode == 0
    filler = fill(disk)
    refused_start = folder.run("start", "--port", "auto", "--db-port", "auto")
    assert refused_start.returncode == 1
    assert refused_start.stderr.startswith("error: ")
    assert f"The disk of {data} is full: make room there." in refused_start.stderr
    assert "Traceback" not in refused_start.stderr
    assert folder.processes() == []
    filler.unlink()
    folder.start()
    assert folder.sql("select count(*) from notes") == str(landed + 200)
    assert folder.run("stop").returncode == 0
    shutil.rmtree(data)


@pytest.mark.parametrize("used_before", [False, True])
def test_a_project_on_a_disk_that_cannot_be_written(disk: Path, used_before: bool) -> None:
    workdir = disk / "project"
    folder = Folder(workdir)
    folder.write("config.toml", "")
    if used_before:
        for name in (".minibase", ".stackbeat"):
            (workdir / name).mkdir(mode=0o700)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    started = folder.run("start", "--port", "auto", "--db-port", "auto")
    up = subprocess.run(
        stackbeat("up", "--web-port", "auto"), cwd=workdir, env=clean_environment(), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    for done, state in ((started, ".minibase"), (up, ".stackbeat")):
        assert done.returncode == 1
        (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert str(workdir / state) in sentence
        assert "Read-only file system" in sentence
        assert "Traceback" not in done.stderr
