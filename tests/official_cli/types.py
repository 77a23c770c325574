"""The types of the public tables, as the official CLI reads them off a database; as a program, writes them anew."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from official_cli.cli import PACKAGES, succeed
from processes import ROOT, find_node, make_workdir, minibase

from orchestrator.cli.embedded import discard_data

WRITTEN = "Written by scripts/types from supabase/migrations; a change made here is lost."
TYPESCRIPT = ROOT / "dashboard" / "src" / "database.types.ts"
PYTHON = ROOT / "examples" / "database_types.py"
# What the platform brings; another version of it brings other ones, and none of them is ours.
PLATFORM = re.compile(r"^Auth\w+: TypeAlias = .*\n\n", re.MULTILINE)


def generate(remote: str) -> dict[Path, str]:
    """The text of each file of types for the database at `remote`."""
    typescript = succeed("gen", "types", "--lang", "typescript", "--schema", "public", remote=remote)
    python = succeed("gen", "types", "--lang", "python", "--schema", "public", remote=remote)
    return {
        TYPESCRIPT: _formatted(
            [find_node(), str(PACKAGES / "oxfmt" / "bin" / "oxfmt"), f"--stdin-filepath={TYPESCRIPT.name}"],
            f"// {WRITTEN}\n{typescript}",
        ),
        PYTHON: _formatted(
            [str(Path(sys.executable).with_name("ruff")), "format", "--no-cache", "--stdin-filename", str(PYTHON), "-"],
            f'"""Rows of the public tables. {WRITTEN}"""\n\n{PLATFORM.sub("", python)}',
        ),
    }


def _formatted(command: list[str], text: str) -> str:
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main() -> None:
    """Write the files from a minibase of the moment with all migrations."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = make_workdir(Path(folder) / "project")
        start = minibase("start", "--detach", "--port", "auto", "--db-port", "auto")
        subprocess.run(start, cwd=workdir, check=True, stdout=subprocess.DEVNULL)
        try:
            status = subprocess.run(minibase("status", "-o", "json"), cwd=workdir, check=True, capture_output=True)
            for path, text in generate(json.loads(status.stdout)["DB_URL"]).items():
                path.write_text(text)
                print(f"wrote {path.relative_to(ROOT)}")
        finally:
            subprocess.run(minibase("stop"), cwd=workdir, check=True, stdout=subprocess.DEVNULL)
            discard_data(workdir)


if __name__ == "__main__":
    main()
