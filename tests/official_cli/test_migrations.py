"""`supabase db push` and our own runner keep one history, and either of them makes a working database."""

from __future__ import annotations

from pathlib import Path

from official_cli.cli import succeed, supabase
from processes import ROOT

MIGRATIONS = sorted(path.name for path in (ROOT / "supabase" / "migrations").glob("*.sql"))


def listed(remote: str, workdir: Path = ROOT) -> list[tuple[str, str]]:
    """The versions of `migration list`: in the folder, in the database."""
    table = succeed("migration", "list", remote=remote, workdir=workdir)
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in table.splitlines() if line.count("|") == 2]
    return [(ours, theirs) for ours, theirs, _ in rows if (ours + theirs).isdecimal()]


def versions() -> list[str]:
    return [name.partition("_")[0] for name in MIGRATIONS]


def test_after_our_own_runner_there_is_nothing_to_push(migrated: str) -> None:
    assert "up to date" in succeed("db", "push", "--dry-run", remote=migrated)
    assert listed(migrated) == [(version, version) for version in versions()]


def test_a_file_more_is_what_push_would_apply(migrated: str, workdir: Path) -> None:
    (workdir / "supabase" / "migrations" / "20991231000000_more.sql").write_text("select 1;\n")
    pushed = supabase("db", "push", "--dry-run", remote=migrated, workdir=workdir)
    assert "20991231000000_more.sql" in pushed.stderr
    assert MIGRATIONS[-1] not in pushed.stderr
    assert listed(migrated, workdir)[-1] == ("20991231000000", "")
