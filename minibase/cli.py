"""The `minibase` command.

Commands that only look at a running minibase answer at once: what starts or changes one is imported where it is used.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from minibase import status
from minibase.config import Config
from minibase.errors import BusyError, MinibaseError
from minibase.options import AUTO, PortChoice, StartOptions
from minibase.postgres.binaries import SETTING, find_binaries
from minibase.postgres.endpoint import HOST, Endpoint, Login
from minibase.project import Project

LOG_SETTING = "MINIBASE_LOG_LEVEL"
_STOP_LIMIT = 15.0
_FAREWELL_LIMIT = 3.0
_POLL = 0.05


def main() -> None:
    """The console script: every expected failure is one sentence on stderr and an exit code that is not 0."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    try:
        cli.main(prog_name="minibase")
    except MinibaseError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        sentence = _about_the_disk(error)
        if sentence is None:
            raise
        click.echo(f"error: {sentence}", err=True)
        sys.exit(1)


def _about_the_disk(error: OSError) -> str | None:
    """What to do about a disk that takes nothing more, or a folder that takes nothing at all."""
    where = error.filename or "the project's folder"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{where} cannot be written: the disk is full. Make room on it and start again."
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return f"{where} cannot be written: {error.strerror}. Make it writable, or choose another --workdir."
    return None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A Supabase-compatible stack on a real Postgres, in one process tree, for the project in this folder."""


class _Port(click.ParamType[PortChoice]):
    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PortChoice:
        if value is None or value == AUTO:
            return AUTO if value == AUTO else None
        if not str(value).isdigit() or not 1 <= int(value) <= 65535:
            self.fail(f"{value!r} is neither a port from 1 to 65535 nor `auto`", param, ctx)
        return int(value)


_workdir = click.option(
    "--workdir", type=click.Path(path_type=Path), default=".", help="The folder that holds supabase/.  [default: .]"
)
_pg_bin = click.option(
    "--pg-bin", envvar=SETTING, help=f"Folder with PostgreSQL's programs (or {SETTING}).", metavar="DIR"
)


@cli.command()
@_workdir
@_pg_bin
@click.option(
    "--port", "api_port", type=_Port(), metavar="N|auto", help="Port of the API.  [default: from config.toml]"
)
@click.option("--db-port", type=_Port(), metavar="N|auto", help="Port of the database.  [default: from config.toml]")
@click.option("--detach", is_flag=True, help="Return when it is ready and leave it running.")
@click.option("--lifeline", type=int, metavar="FD", help="End when this inherited pipe ends.")
@click.option(
    "--log-level",
    type=click.Choice(["warning", "info", "debug"]),
    default="warning",
    envvar=LOG_SETTING,
    help=f"How much is logged (or {LOG_SETTING}); debug says what became of each change.  [default: warning]",
)
def start(workdir: Path, *, detach: bool, log_level: str, **options: Any) -> None:
    """Start Postgres and the API, apply what is pending, and serve until Ctrl-C."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    chosen = StartOptions(**options)
    if detach:
        _start_detached(project, chosen, log_level)
    else:
        logging.getLogger("minibase").setLevel(log_level.upper())
        from minibase import launch

        _run(launch.serve, project, config, chosen, click.echo, lambda: click.echo(_table(project)))


@cli.command()
@_workdir
def stop(workdir: Path) -> None:
    """End what runs in this folder, and wait for it."""
    project = _open(workdir)
    pid = project.holder()
    if pid is None:
        click.echo(f"Nothing runs in {project.workdir}.")
        return
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise MinibaseError(f"minibase (pid {pid}) belongs to another user. Stop it as that user.") from error
    except ProcessLookupError:
        pass
    if not _wait_until(lambda: project.holder() is None, _STOP_LIMIT):
        raise MinibaseError(f"minibase (pid {pid}) did not stop within {_STOP_LIMIT:.0f} s. End it with kill -9.")
    # Everything is over by now but the interpreter's own farewell.
    _wait_until(lambda: not _alive(pid), _FAREWELL_LIMIT)
    click.echo("Stopped.")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


@cli.command(name="status")
@_workdir
@click.option("-o", "--output", type=click.Choice(["pretty", "env", "json"]), default="pretty")
def show_status(workdir: Path, output: str) -> None:
    """Print addresses and keys of what runs in this folder."""
    values = _values(_open(workdir))
    form = {"pretty": status.as_table, "env": status.as_env, "json": status.as_json}[output]
    click.echo(form(values), nl=False)


@cli.command()
@_workdir
@_pg_bin
def reset(workdir: Path, pg_bin: str | None) -> None:
    """Delete all data and begin anew with migrations and seed; the old data stays where one of them fails."""
    project = _open(workdir)
    config = Config.load(project.workdir)

    from minibase import launch

    async def work(endpoint: Endpoint) -> None:
        await launch.reset(project, config, endpoint, click.echo)

    _run(launch.on_database, project, config, pg_bin, work)
    click.echo("The database is as new.")


@cli.command()
@_workdir
@_pg_bin
@click.option("--include-all", is_flag=True, help="Also files older than the newest one applied.")
def migrate(workdir: Path, pg_bin: str | None, include_all: bool) -> None:
    """Apply pending migrations, and seed files that have not run."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    from minibase import launch

    applied = 0

    async def work(endpoint: Endpoint) -> None:
        nonlocal applied
        applied = await launch.apply_files(project, config, endpoint, click.echo, include_all=include_all)

    _run(launch.on_database, project, config, pg_bin, work)
    click.echo(f"{applied} files applied." if applied else "The database is up to date.")


_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@cli.command()
@_workdir
@_pg_bin
@_file
def backup(workdir: Path, pg_bin: str | None, file: Path) -> None:
    """Write all data, and the project's keys, to FILE, which must not exist; running or stopped."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    from minibase import launch
    from minibase.backup import back_up

    async def work(endpoint: Endpoint) -> None:
        await back_up(project, endpoint, find_binaries(pg_bin), file)

    _run(launch.on_database, project, config, pg_bin, work)
    click.echo(f"{file} holds the data and the keys of {project.workdir}; keep it private.")


@cli.command()
@_workdir
@_pg_bin
@click.option("--keep-keys", is_flag=True, help="Keep this project's keys instead of taking the backup's.")
@_file
def restore(workdir: Path, pg_bin: str | None, keep_keys: bool, file: Path) -> None:
    """Replace all data by that of FILE, a backup; the old data stays where that fails."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    from minibase import launch
    from minibase.backup import restore as restore_from

    async def work(endpoint: Endpoint) -> None:
        await restore_from(project, config, endpoint, find_binaries(pg_bin), file, keep_keys=keep_keys)

    _run(launch.on_database, project, config, pg_bin, work)
    click.echo(f"The data is that of {file}.")


@cli.command()
@_workdir
@_pg_bin
@click.option("--to", "target", required=True, metavar="DB_URL", help="The target's database, as its `postgres`.")
def move(workdir: Path, pg_bin: str | None, target: str) -> None:
    """Copy all rows and users to another Supabase that has had the same migrations; all of them or none."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    from minibase import launch
    from minibase.move import move as move_to

    rows = 0

    async def work(endpoint: Endpoint) -> None:
        nonlocal rows
        rows = await move_to(endpoint, target, click.echo)

    _run(launch.on_database, project, config, pg_bin, work)
    click.echo(f"{rows} rows moved. Sessions stay behind: people sign in again there, with their passwords.")


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@_workdir
@_pg_bin
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(workdir: Path, pg_bin: str | None, arguments: tuple[str, ...]) -> None:
    """Open psql on the running database as `postgres`; ARGUMENTS are psql's own."""
    project = _open(workdir)
    runtime = project.runtime()
    if runtime is None:
        raise _nothing_runs(project)
    program = find_binaries(pg_bin).program("psql")
    # The password goes by the environment: arguments can be seen by every user of the machine.
    environment = {
        **os.environ,
        "PGHOST": HOST,
        "PGPORT": str(runtime.db_port),
        "PGDATABASE": "postgres",
        "PGUSER": Login.OWNER.value,
        "PGPASSWORD": project.secrets().passwords[Login.OWNER],
    }
    os.execve(program, [str(program), *arguments], environment)


@cli.group()
def realtime() -> None:
    """Look into realtime."""


@realtime.command()
@_workdir
@_pg_bin
@click.option("--table", required=True, metavar="[SCHEMA.]TABLE", help="The table nothing, or too little, is heard of.")
@click.option("--role", metavar="ROLE", help="As whom one listens.  [default: the claims' role, or anon]")
@click.option("--claims", default="{}", metavar="JSON", help="The listener's token, as JSON.")
@click.option("--filter", "wanted", metavar="FILTER", help="The subscription's filter, such as id=gt.5.")
@click.option("--pk", multiple=True, metavar="[COLUMN=]VALUE", help="A row, by its primary key; once for each column.")
def why(workdir: Path, pg_bin: str | None, table: str, pk: tuple[str, ...], **asked: str | None) -> None:
    """Say why changes of a table do or do not reach a subscriber; exit code 1 where they do not."""
    project = _open(workdir)
    config = Config.load(project.workdir)
    from minibase import launch
    from minibase.realtime.why import Verdict, read_doubt
    from minibase.realtime.why import why as find_out

    doubt = read_doubt(table, pk, **asked)
    reached = True

    async def work(endpoint: Endpoint) -> None:
        nonlocal reached
        for finding in await find_out(endpoint, doubt):
            click.echo(f"{finding.verdict:<4} {finding.text}")
            reached = reached and finding.verdict is not Verdict.NO

    _run(launch.on_database, project, config, pg_bin, work)
    sys.exit(0 if reached else 1)


def _open(workdir: Path) -> Project:
    return Project.open(workdir)


def _run(function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
    """Run to the end; of several failures at once, the first expected one is what people are told."""
    import anyio

    try:
        anyio.run(function, *arguments, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        expected = group.subgroup(MinibaseError) or group.subgroup(OSError)
        if expected is None:
            raise
        first: BaseException = expected
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from group


def _values(project: Project) -> dict[str, str]:
    runtime = project.runtime()
    if runtime is None:
        raise _nothing_runs(project)
    return status.describe(runtime, project.secrets())


def _table(project: Project) -> str:
    return "minibase is ready.\n" + status.as_table(_values(project)).rstrip("\n")


def _nothing_runs(project: Project) -> MinibaseError:
    starting = project.holder()
    if starting is not None:
        return MinibaseError(f"minibase (pid {starting}) is still starting in {project.workdir}. Try again soon.")
    return MinibaseError(f"Nothing runs in {project.workdir}. Start it with `minibase start`.")


def _start_detached(project: Project, options: StartOptions, log_level: str) -> None:
    """Start the same command in a session of its own, show what it says, and leave when it is ready."""
    command = [sys.executable, "-m", "minibase.cli", "start", "--workdir", str(project.workdir)]
    command += ["--log-level", log_level]
    for option, value in (("--port", options.api_port), ("--db-port", options.db_port), ("--pg-bin", options.pg_bin)):
        if value is not None:
            command += [option, str(value)]
    log = project.log_descriptor(project.own_log)
    begin = os.fstat(log).st_size
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    finally:
        os.close(log)
    while child.poll() is None:
        runtime = project.runtime()
        if runtime is not None and runtime.pid == child.pid:
            click.echo(_said(project, begin))
            return
        time.sleep(_POLL)
    busy = child.returncode == BusyError.exit_code
    raise (BusyError if busy else MinibaseError)(_said(project, begin).removeprefix("error: "))


def _said(project: Project, begin: int) -> str:
    with project.own_log.open("rb") as log:
        log.seek(begin)
        return log.read().decode(errors="replace").strip()


if __name__ == "__main__":
    main()
