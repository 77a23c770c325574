"""doctor: does everything fit, and if not, what to do; a line a check."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click

from orchestrator.cli.carried import carried
from orchestrator.cli.daemon import daemon_settings
from orchestrator.cli.dotenv import FILE_NAME as ENV_NAME
from orchestrator.cli.dotenv import environment
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.folder import Folder
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.place import find_place
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.target import PUBLIC_KEY_NAMES, SERVICE_KEY_NAMES, Target, checked_url
from orchestrator.config import Config
from orchestrator.doctor.findings import Finding, Level, fail, ok
from orchestrator.doctor.keys import Access

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
# The ports of supabase/config.toml, by section: their usual numbers and what they are for.
_PORTS = {"api": (54321, "the API (--port)"), "db": (54322, "the database (--db-port)")}
# Stands in for an address, so that the other settings can be judged where there is none.
_NOWHERE = Target(url="http://127.0.0.1", service_key="sb_secret_pending", publishable_key=None, found="")


@click.command("doctor", help="Look whether everything fits, and say what to do where it does not.")
@click.option(
    "--timeout",
    "limit_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0.5, 300),
    help="Seconds for a check.",
)
@workdir_option
@json_option
def doctor(limit_s: float, workdir: Path, as_json: bool) -> None:
    """Print a line for each check; exit code 1 where one of them fails."""
    findings, skipped = anyio.run(_examine, workdir, limit_s)
    healthy = all(finding.level is not Level.FAIL for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings], "skipped": skipped})
    else:
        _print(findings, skipped)
    if not healthy:
        sys.exit(ExitCode.FAILED)


async def _examine(workdir: Path, limit_s: float) -> tuple[list[Finding], list[str]]:
    from orchestrator.doctor.examine import Report, examine_models, examine_supabase

    environ, unread = _environment(workdir)
    settings = _settings(environ, workdir)
    access = await anyio.to_thread.run_sync(find_access, environ, workdir)
    machine = await anyio.to_thread.run_sync(_machine, workdir, access)
    report, models = Report(findings=()), list[Finding]()

    async def look_at_supabase(access: Access) -> None:
        nonlocal report
        report = await examine_supabase(access, shipped=_shipped(workdir), limit_s=limit_s)

    async def look_at_models(config: Config) -> None:
        models.extend(await examine_models(config, limit_s=limit_s))

    async with anyio.create_task_group() as tasks:
        if isinstance(access, Access):
            tasks.start_soon(look_at_supabase, access)
        if isinstance(settings, Config):
            tasks.start_soon(look_at_models, settings)
    first = [*unread, ok("settings", "all known and valid") if isinstance(settings, Config) else settings]
    nowhere = [] if isinstance(access, Access) else [access]
    return [*first, *nowhere, *report.findings, *models, *machine], list(report.skipped)


def _environment(workdir: Path) -> tuple[Mapping[str, str], list[Finding]]:
    try:
        return environment(workdir), []
    except CliError as error:
        return os.environ, [fail(ENV_NAME, error.message, "correct the line; `.env.example` shows how it is written")]


def _settings(environ: Mapping[str, str], workdir: Path) -> Config | Finding:
    try:
        return daemon_settings(environ, workdir, _NOWHERE)
    except CliError as error:
        return fail(
            "settings", error.message, "correct stackbeat.toml, .env or the environment; `stackbeat init` shows all"
        )


def find_access(environ: Mapping[str, str], workdir: Path) -> Access | Finding:
    """The Supabase that commands here would use, else a running CLI stack; its keys are not judged yet."""
    url = environ.get("SUPABASE_URL", "").strip()
    try:
        if url:
            return _named_access(checked_url(url, "SUPABASE_URL"), environ)
        target = _running_target(environ, workdir)
    except CliError as error:
        return fail("address", error.message, "correct it in .env or in the environment")
    if target is None:
        said = f"no Supabase: nothing runs in {workdir} and SUPABASE_URL is not set"
        return fail("address", said, "start one with `stackbeat up`, or set SUPABASE_URL and its keys in .env")
    return Access(
        url=target.url,
        service_key=target.service_key,
        public_key=target.publishable_key,
        service_name="the service key",
        public_name="the public key",
        found=target.found,
    )


def _named_access(url: str, environ: Mapping[str, str]) -> Access:
    service, public = (
        next((name for name in names if environ.get(name, "").strip()), None)
        for names in (SERVICE_KEY_NAMES, PUBLIC_KEY_NAMES)
    )
    return Access(
        url=url,
        service_key=environ[service].strip() if service else None,
        public_key=environ[public].strip() if public else None,
        service_name=service or SERVICE_KEY_NAMES[0],
        public_name=public or PUBLIC_KEY_NAMES[0],
    )


def _running_target(environ: Mapping[str, str], workdir: Path) -> Target | None:
    try:
        return resolve(workdir)
    except CliError as error:
        if error.code is not ExitCode.NO_SUPABASE or Folder(workdir=workdir).running() is not None:
            raise
    if not (workdir / "supabase" / "config.toml").is_file():
        return None
    return find_place(None, environ, workdir).target


def _shipped(workdir: Path) -> list[str]:
    own = workdir / "supabase"
    folder = (own if own.is_dir() else carried("supabase")) / "migrations"
    return sorted(file.name.partition("_")[0] for file in folder.glob("*.sql"))


def _machine(workdir: Path, access: Access | Finding) -> list[Finding]:
    from orchestrator.doctor.machine import check_disk, check_ports, check_secrets

    runs_here = Folder(workdir=workdir).running() is not None
    wanted = {} if runs_here else _wanted_ports(workdir, starts_minibase=not isinstance(access, Access))
    secrets = check_secrets(workdir / ENV_NAME)
    return [*([secrets] if secrets else []), check_disk(_data_folder(workdir)), check_ports(wanted)]


def _wanted_ports(workdir: Path, *, starts_minibase: bool) -> dict[int, str]:
    from orchestrator.cli.up import WEB_PORT

    wanted = {WEB_PORT: "the dashboard (--web-port)"}
    if starts_minibase:
        settings = _project_settings(workdir)
        ours = {int(settings.get(name, {}).get("port", usual)): use for name, (usual, use) in _PORTS.items()}
        wanted = {**ours, **wanted}
    return wanted


def _project_settings(workdir: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((workdir / "supabase" / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # `up` says what is wrong with it; the usual ports are a good guess


def _data_folder(workdir: Path) -> Path:
    """Where minibase keeps its data: its own folder, or the one that root's minibase names."""
    own = workdir / ".minibase"
    try:
        named = Path((own / "data-folder").read_text(encoding="utf-8").strip())
    except OSError:
        named = own
    return next((folder for folder in (named, own) if folder.is_dir()), workdir)


def _print(findings: list[Finding], skipped: list[str]) -> None:
    width = max(len(finding.check) for finding in findings)
    coloured = partial(click.style) if sys.stdout.isatty() and "NO_COLOR" not in os.environ else None
    for finding in findings:
        level = f"{finding.level:<4}"
        shown = coloured(level, fg=_COLOURS[finding.level]) if coloured else level
        click.echo(f"{shown}  ", nl=False)
        print_line(f"{finding.check:<{width}}  {finding.said}")
        if finding.todo:
            print_line(f"{'':{width + 8}}-> {finding.todo}")
    for what in skipped:
        print_line(f"not looked at: {what}")
    failed, warned = (sum(finding.level is level for finding in findings) for level in (Level.FAIL, Level.WARN))
    print_line(f"\n{failed} failed, {warned} warned, {len(findings) - failed - warned} well")
