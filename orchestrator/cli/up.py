"""up: a Supabase, the daemon and the dashboard, in one process tree, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread
import click
from starlette.applications import Starlette

from orchestrator import web
from orchestrator.cli.daemon import (
    daemon_settings,
    is_simulated,
    metrics_listener,
    metrics_option,
    run_daemon_for_people,
)
from orchestrator.cli.demo import play_demo
from orchestrator.cli.dotenv import environment
from orchestrator.cli.embedded import open_minibase
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.folder import Folder, Login, Running
from orchestrator.cli.operators import ensure_local_operator
from orchestrator.cli.output import json_option, print_json, print_line, progress
from orchestrator.cli.packaged import find_packaged, prepare_project
from orchestrator.cli.place import Place, find_place, stop_left_over
from orchestrator.cli.ports import Choice, PortType, Use, listen, port_of, url_of
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import workdir_option
from orchestrator.cli.target import Target
from orchestrator.cli.welcome import Welcome, as_text
from orchestrator.config import Config

WEB_PORT = 54380
WEB_USE = Use(name="the dashboard", option="--web-port")
API_USE = Use(name="the API", option="--port")
DB_USE = Use(name="the database", option="--db-port")
# Ctrl-C must be over in 5 s: the daemon's runs get this much of it, the rest is for Postgres.
GRACE_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `up` was asked for. A port of None is the one of supabase/config.toml."""

    workdir: Path
    on: str | None
    demo: bool
    api_port: Choice | None
    db_port: Choice | None
    web_port: Choice
    metrics_port: Choice | None
    as_json: bool

    def say(self, text: str) -> None:
        """Print what happens; beside it --json keeps stdout for the one object."""
        print_line(text, err=self.as_json)


class Listeners(NamedTuple):
    """The sockets `up` serves on itself, bound before anything is started."""

    dashboard: socket.socket
    metrics: socket.socket | None


@click.command("up")
@click.option(
    "--on", metavar="URL|cli|minibase", help="Which Supabase (default: SUPABASE_URL, else cli, else minibase)."
)
@click.option("--demo", is_flag=True, help="Play the demo stacks, also with a real model.")
@click.option("--port", "api_port", type=PortType(), help="minibase's API (default: as in supabase/config.toml).")
@click.option("--db-port", type=PortType(), help="minibase's Postgres (default: as in supabase/config.toml).")
@click.option("--web-port", type=PortType(), default=WEB_PORT, show_default=True, help="The dashboard.")
@metrics_option
@workdir_option
@json_option
def up(
    *,
    on: str | None,
    demo: bool,
    api_port: Choice | None,
    db_port: Choice | None,
    web_port: Choice,
    metrics_port: Choice | None,
    workdir: Path,
    as_json: bool,
) -> None:
    """Start everything: a Supabase, the daemon, the dashboard. Ctrl-C stops it."""
    options = Options(
        workdir=workdir,
        on=on,
        demo=demo,
        api_port=api_port,
        db_port=db_port,
        web_port=web_port,
        metrics_port=metrics_port,
        as_json=as_json,
    )
    environ = environment(workdir)
    folder = Folder(workdir=workdir)
    with folder.locked() as free:
        if not free:
            _say_what_runs(folder, as_json=as_json)
            return
        left = folder.left_over()
        if left is not None and left.on == "minibase":
            stop_left_over(workdir)
        place = find_place(on, environ, workdir)
        if place.target is None:
            prepare_project(workdir, find_packaged(), options.say)
            _require_free((api_port, API_USE), (db_port, DB_USE))
        settings = daemon_settings(environ, workdir, place.target)
        with (
            listen(web_port, WEB_USE, folder.ports().get("web")) as dashboard,
            metrics_listener(options.metrics_port, settings) as metrics,
        ):
            try:
                run_until_signal(_run, options, folder, place, settings, Listeners(dashboard, metrics))
            finally:
                folder.forget_running()


def _require_free(*wanted: tuple[Choice | None, Use]) -> None:
    for choice, use in wanted:
        if isinstance(choice, int):
            listen(choice, use).close()  # minibase would find out too, but only after its own start


async def _run(options: Options, folder: Folder, place: Place, settings: Config, listeners: Listeners) -> None:
    options.say(f"Supabase: {place.as_text()}")
    folder.write_ports({"web": port_of(listeners.dashboard)})
    async with _open_place(options, place, settings) as target, web.serve(_dashboard(target), listeners.dashboard):
        running = _running(place, target, listeners)
        folder.write_running(running)
        config = settings.model_copy(update=_of_target(target, settings))
        await _beat(options, config, listeners.metrics, lambda: _prepare(options, folder, target, running, config))


async def _beat(
    options: Options, config: Config, metrics: socket.socket | None, prepare: Callable[[], Welcome]
) -> None:
    """Run the daemon until it is cancelled; beside its start do what a first start needs, and say what there is."""
    observer = progress(sys.stderr if options.as_json else sys.stdout)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_daemon_for_people, config, observer, metrics)
        welcome = await anyio.to_thread.run_sync(prepare, abandon_on_cancel=True)
        if options.as_json:
            print_json(welcome.as_values())
        else:
            options.say(as_text(welcome))


def _prepare(options: Options, folder: Folder, target: Target, running: Running, config: Config) -> Welcome:
    simulated = is_simulated(config)
    login = _login(folder, target, running.on)
    may_play = simulated or options.demo
    played = play_demo(target, always=options.demo) if may_play else []
    return Welcome(running=running, login=login, simulated=simulated, played=tuple(played), demo_idle=not may_play)


def _login(folder: Folder, target: Target, on: str) -> Login | None:
    if on == "url":
        return None  # nobody asked for a user in a project that others can reach
    known = folder.login()
    login = ensure_local_operator(target, known)
    if login != known:
        folder.write_login(login)
    return login


@asynccontextmanager
async def _open_place(options: Options, place: Place, settings: Config) -> AsyncIterator[Target]:
    if place.target is not None:
        yield place.target
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, _import_daemon, settings)  # while Postgres starts
        async with open_minibase(
            options.workdir, api_port=options.api_port, db_port=options.db_port, say=options.say
        ) as embedded:
            yield embedded.target


def _import_daemon(settings: Config) -> None:
    import supabase  # noqa: F401

    import orchestrator.daemon  # noqa: F401
    from orchestrator.llm.providers import import_sdks

    import_sdks(settings.models.chain())


def _dashboard(target: Target) -> Starlette:
    if not target.publishable_key:
        raise CliError(
            "the dashboard needs the project's public key; set SUPABASE_PUBLISHABLE_KEY or SUPABASE_ANON_KEY",
            ExitCode.USAGE,
        )
    page = web.Page(supabase_url=target.url, publishable_key=target.publishable_key)
    return web.build(page, web.find_dashboard())


def _running(place: Place, target: Target, listeners: Listeners) -> Running:
    return Running(
        pid=os.getpid(),
        on=place.on,
        api_url=target.url,
        dashboard_url=url_of(listeners.dashboard),
        metrics_url=f"{url_of(listeners.metrics)}/metrics" if listeners.metrics else None,
        db_url=target.db_url,
        publishable_key=target.publishable_key,
        service_key=None if place.on == "url" else target.service_key,  # of a remote project it stays where it was
    )


def _of_target(target: Target, settings: Config) -> dict[str, object]:
    return {
        "supabase_url": target.url,
        "service_key": type(settings.service_key)(target.service_key),
        "grace_s": min(settings.grace_s, GRACE_S),
    }


def _say_what_runs(folder: Folder, *, as_json: bool) -> None:
    running = folder.running()
    if running is None:
        raise CliError(f"another `stackbeat up` is starting in {folder.workdir}; try again soon", ExitCode.BUSY)
    welcome = Welcome(running=running, login=folder.login(), already=True)
    if as_json:
        print_json(welcome.as_values())
    else:
        print_line(as_text(welcome))
