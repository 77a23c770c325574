"""The project that comes with the program: config, migrations and seed of a Supabase that stacks can live in.

A folder that has no `supabase/` gets a copy, and from then on it is an ordinary Supabase project that belongs to its
owner: nothing in it is ever overwritten. Migrations of a newer Stackbeat are added to it, because its code needs them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from orchestrator.cli.errors import CliError, ExitCode


def find_packaged() -> Path:
    """The folder supabase/ of the wheel, else that of this checkout. Raises CliError where neither is there."""
    package = Path(__file__).resolve().parents[1]
    candidates = (package / "data" / "supabase", package.parent / "supabase")
    found = next((folder for folder in candidates if (folder / "config.toml").is_file()), None)
    if found is None:
        raise CliError("the migrations are not installed with the program; set SUPABASE_URL", ExitCode.NO_SUPABASE)
    return found


def prepare_project(workdir: Path, packaged: Path, say: Callable[[str], None]) -> None:
    """Make `workdir` a project that minibase can start: copy what is missing, and say so.

    Raises CliError where `supabase/` is there without its config.toml, and where the folder cannot be written.
    """
    project = workdir / "supabase"
    try:
        if not project.exists():
            _copy(packaged, project, say)
        elif not (project / "config.toml").is_file():
            raise CliError(
                f"{workdir} has a folder supabase/ without supabase/config.toml; put that file back, or name the "
                "project's folder, or an empty one, with --workdir",
                ExitCode.USAGE,
            )
        elif project.resolve() != packaged.resolve():
            _add_migrations(packaged / "migrations", project / "migrations", say)
    except OSError as error:
        raise CliError(f"cannot write {project} ({error.strerror}); choose another --workdir") from error


def missing_migrations(packaged: list[str], present: list[str]) -> list[str]:
    """Names of the package's migrations that a project lacks; none where it has none of them and so is not ours."""
    if not set(packaged) & set(present):
        return []
    return sorted(set(packaged) - set(present))


def _copy(packaged: Path, project: Path, say: Callable[[str], None]) -> None:
    partial = project.with_name(f".{project.name}.new")  # half a project would be taken for a whole one
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(packaged, partial, ignore=shutil.ignore_patterns(".*"))
    partial.rename(project)
    say(f"made {project}: settings, migrations and demo stacks of Stackbeat {_version()}; edit them as you like")


def _add_migrations(packaged: Path, folder: Path, say: Callable[[str], None]) -> None:
    names = [file.name for file in packaged.glob("*.sql")]
    missing = missing_migrations(names, [file.name for file in folder.glob("*.sql")])
    for name in missing:
        fresh = folder / f".{name}.new"
        shutil.copyfile(packaged / name, fresh)
        fresh.rename(folder / name)
        say(f"added {folder.name}/{name}, which Stackbeat {_version()} needs")


def _version() -> str:
    return version("stackbeat")
