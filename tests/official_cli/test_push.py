"""A project of the official CLI from the first command on: an empty Supabase, `db push`, and the fleet plays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from official_cli.cli import succeed, supabase
from processes import clean_environment, end, eventually, minibase, read_start, stackbeat, start_up

SUPABASE_NAMES = {
    "SUPABASE_URL": "API_URL",
    "SUPABASE_SECRET_KEY": "SECRET_KEY",
    "SUPABASE_PUBLISHABLE_KEY": "PUBLISHABLE_KEY",
}


@pytest.mark.minibase_only("an empty Supabase to push onto")
def test_push_onto_an_empty_supabase_and_play(workdir: Path) -> None:
    project, empty = workdir / "supabase", workdir / "later"
    empty.mkdir()
    for name in ("migrations", "seed.sql"):
        (project / name).rename(empty / name)
    start = minibase("start", "--detach", "--port", "auto", "--db-port", "auto")
    subprocess.run(start, cwd=workdir, env=clean_environment(), check=True, stdout=subprocess.DEVNULL)
    try:
        status = json.loads(
            subprocess.run(minibase("status", "-o", "json"), cwd=workdir, check=True, capture_output=True).stdout
        )
        settings = {ours: status[name] for ours, name in SUPABASE_NAMES.items()}
        unready = subprocess.run(
            stackbeat("run"), cwd=workdir, env=clean_environment(settings), capture_output=True, text=True, timeout=60
        )
        assert "supabase db push" in unready.stderr, "who forgot the push is told so"

        for name in ("migrations", "seed.sql"):
            (empty / name).rename(project / name)
        pushed = supabase("db", "push", "--include-seed", "--yes", remote=status["DB_URL"], workdir=workdir)
        assert pushed.returncode == 0, pushed.stderr
        applied = [line.split()[2].removesuffix("...") for line in pushed.stderr.splitlines() if "Applying" in line]
        assert applied == sorted(path.name for path in (project / "migrations").glob("*.sql"))
        again = succeed("db", "push", remote=status["DB_URL"], workdir=workdir)
        assert "up to date" in again
        migrated = subprocess.run(minibase("migrate"), cwd=workdir, check=True, capture_output=True, text=True)
        assert "applying" not in migrated.stdout, "our own runner has nothing to do either"

        process = start_up(workdir, "--on", status["API_URL"], environment=settings)
        try:
            started = read_start(process, workdir)
            assert started["played"] == ["Night Owls", "Paper Boats", "Third Shelf"]
            shown = stackbeat("show", "Night Owls", "--json")

            def traces() -> list[object]:
                done = subprocess.run(
                    shown, cwd=workdir, env=clean_environment(settings), check=True, capture_output=True
                )
                found: list[object] = json.loads(done.stdout)["traces"]
                return found

            eventually(traces, within=30, what="a trace")
        finally:
            end(process)
    finally:
        subprocess.run(minibase("stop"), cwd=workdir, check=True, stdout=subprocess.DEVNULL)
