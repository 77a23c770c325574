"""The folder `.stackbeat/`: private, and believed only while its process lives."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.cli.errors import CliError
from orchestrator.cli.folder import Folder, Login, Running

RUNNING = Running(pid=os.getpid(), on="minibase", api_url="http://127.0.0.1:1", dashboard_url="http://127.0.0.1:2")


def test_what_runs_is_known_only_while_the_lock_is_held(tmp_path: Path) -> None:
    folder = Folder(workdir=tmp_path)
    with folder.locked() as free:
        assert free
        folder.write_running(RUNNING)
        assert folder.running() == RUNNING
        with folder.locked() as second:
            assert not second
    assert folder.running() is None  # the file is still there, as after a kill -9
    assert (tmp_path / ".stackbeat" / "up.json").is_file()


def test_folder_and_files_are_private(tmp_path: Path) -> None:
    folder = Folder(workdir=tmp_path)
    folder.write_login(Login(email="a@b", password="secret"))
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "operator.json").stat().st_mode) == 0o600
    assert folder.login() == Login(email="a@b", password="secret")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = Folder(workdir=tmp_path)
    folder.write_ports({"api": 1})
    (folder.path / "ports.json").write_text("{")
    with pytest.raises(CliError, match=r"ports\.json"):
        folder.ports()
