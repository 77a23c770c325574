"""What `up` copies into a folder, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.packaged import missing_migrations, prepare_project


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    return make_project(tmp_path / "package" / "supabase", "1_a.sql", "2_b.sql")


def make_project(folder: Path, *migrations: str) -> Path:
    (folder / "migrations").mkdir(parents=True)
    (folder / "config.toml").write_text("")
    for name in migrations:
        (folder / "migrations" / name).write_text(f"-- {folder.parent.name}")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_folder_without_a_project_gets_one_and_is_told(tmp_path: Path, packaged: Path) -> None:
    said: list[str] = []
    (tmp_path / "new").mkdir()
    prepare_project(tmp_path / "new", packaged, said.append)
    assert files(tmp_path / "new") == ["1_a.sql", "2_b.sql", "config.toml"]
    assert str(tmp_path / "new" / "supabase") in said[0]
    prepare_project(tmp_path / "new", packaged, said.append)
    assert len(said) == 1, "a second start finds everything"


def test_a_project_of_an_older_package_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path, packaged: Path) -> None:
    said: list[str] = []
    mine = make_project(tmp_path / "old" / "supabase", "1_a.sql", "3_mine.sql")
    prepare_project(tmp_path / "old", packaged, said.append)
    assert files(mine) == ["1_a.sql", "2_b.sql", "3_mine.sql", "config.toml"]
    assert (mine / "migrations" / "1_a.sql").read_text() == "-- old"
    assert len(said) == 1
    assert "2_b.sql" in said[0]


def test_somebody_else_s_project_is_left_alone() -> None:
    assert missing_migrations(["1_a.sql", "2_b.sql"], ["1_other.sql"]) == []
    assert missing_migrations(["1_a.sql"], []) == []


def test_the_package_s_own_folder_is_left_alone(packaged: Path) -> None:
    prepare_project(packaged.parent, packaged, pytest.fail)


def test_a_project_without_settings_is_refused(tmp_path: Path, packaged: Path) -> None:
    (tmp_path / "half" / "supabase").mkdir(parents=True)
    with pytest.raises(CliError, match=r"without supabase/config\.toml") as refusal:
        prepare_project(tmp_path / "half", packaged, pytest.fail)
    assert refusal.value.code == ExitCode.USAGE
