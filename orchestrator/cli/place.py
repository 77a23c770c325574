"""Where `up` finds its Supabase: given, in the environment, a running CLI stack, or the minibase it starts itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.resolve import minibase_command, target_of_minibase
from orchestrator.cli.target import Target, from_environment, from_status, parse_env_lines

CLI = "supabase"
CLI_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the stacks live. `target` is None where `up` has to start minibase first."""

    on: str
    why: str
    target: Target | None

    def as_text(self) -> str:
        """Which Supabase it is, and why, for people."""
        where = "" if self.target is None else f" at {self.target.url}"
        return f"{self.on}{where} ({self.why})"


def find_place(on: str | None, environ: Mapping[str, str], workdir: Path) -> Place:
    """Decide by `--on` or, without it: SUPABASE_URL if set, else a running CLI stack, else minibase.

    Raises CliError where what `--on` names is not there.
    """
    match on:
        case None:
            return _first_found(environ, workdir)
        case "minibase":
            return _embedded(workdir, "--on minibase")
        case "cli":
            return _named_cli(workdir)
        case url if "://" not in url:
            raise CliError(
                f"--on takes the address of a Supabase, like http://127.0.0.1:54321, or the word cli or minibase; "
                f"it is {url!r}",
                ExitCode.USAGE,
            )
        case url:
            target = from_environment({**environ, "SUPABASE_URL": url}, named_by="--on")
            return Place(on="url", why="--on", target=target)


def _named_cli(workdir: Path) -> Place:
    if shutil.which(CLI) is None:
        raise CliError(
            f"--on cli, but there is no `{CLI}` program on PATH; install the Supabase CLI and start a stack with "
            "`supabase start`, or use --on minibase",
            ExitCode.NO_SUPABASE,
        )
    status = _status_of_cli(workdir)
    if status is None:
        raise CliError(
            "--on cli, but `supabase status` finds no running stack; start it with `supabase start`",
            ExitCode.NO_SUPABASE,
        )
    return Place(on="cli", why="--on cli", target=from_status(status, "a Supabase CLI stack runs here"))


def _first_found(environ: Mapping[str, str], workdir: Path) -> Place:
    given = from_environment(environ)
    if given is not None:
        return Place(on="url", why=given.found, target=given)
    status = _status_of_cli(workdir)
    if status is not None:
        target = from_status(status, "a Supabase CLI stack runs here")
        return Place(on="cli", why=target.found, target=target)
    return _embedded(workdir, "SUPABASE_URL is not set and no Supabase CLI stack runs here")


def _embedded(workdir: Path, why: str) -> Place:
    running = target_of_minibase(workdir)
    if running is not None:
        why = f"{why}; it runs already and will go on after this"
    return Place(on="minibase", why=why, target=running)


def stop_left_over(workdir: Path) -> None:
    """End the minibase of an `up` that was killed: it stops by itself, and must not be taken for a running one."""
    command = minibase_command("stop", "--workdir", workdir)
    subprocess.run(command, capture_output=True, timeout=STOP_TIMEOUT_S, check=False)


def _status_of_cli(workdir: Path) -> dict[str, str] | None:
    program = shutil.which(CLI)
    if program is None:
        return None
    # Lines, not JSON: what else the CLI has to say may stand among them.
    command = [program, "status", "-o", "env"]
    try:
        done = subprocess.run(command, cwd=workdir, capture_output=True, text=True, timeout=CLI_TIMEOUT_S, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return parse_env_lines(done.stdout) if done.returncode == 0 else None
