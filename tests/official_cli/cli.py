"""The official Supabase CLI, pinned by package.json beside this file."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from processes import ROOT, clean_environment, find_node

PACKAGES = Path(__file__).with_name("node_modules")
TIMEOUT_S = 120


def supabase(*arguments: str, remote: str, workdir: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command of the CLI on the project in `workdir` and the database at `remote`, a postgres URL.

    With a home of its own, so that nothing of this machine's sign-ins or settings takes part.
    """
    program = PACKAGES / "supabase" / "dist" / "supabase.js"
    assert program.is_file(), "the Supabase CLI is not installed: scripts/test and scripts/types do that"
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [find_node(), str(program), *arguments, "--workdir", str(workdir), f"--remote={_plain_if_local(remote)}"],
            cwd=workdir,
            env=clean_environment({"HOME": home, "DO_NOT_TRACK": "1"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )


def succeed(*arguments: str, remote: str, workdir: Path = ROOT) -> str:
    """What such a command prints on stdout; fails the test where the command fails."""
    done = supabase(*arguments, remote=remote, workdir=workdir)
    assert done.returncode == 0, f"supabase {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def _plain_if_local(remote: str) -> str:
    # Else it tries TLS first and says on stdout, in front of what it was asked for, that it did not get it.
    parts = urlsplit(remote)
    local = parts.hostname in {"127.0.0.1", "localhost"} and not parts.query
    return parts._replace(query="sslmode=disable").geturl() if local else remote
