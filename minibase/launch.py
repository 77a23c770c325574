"""Brings a project to life: Postgres, its contents, the API, until told to stop; and the work done on it in between."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import uvicorn

from minibase.config import CONFIG_FILE, Config
from minibase.errors import MinibaseError
from minibase.keys import Keyring, Secrets
from minibase.options import AUTO, PortChoice, StartOptions
from minibase.postgres.binaries import find_binaries, reachable_binaries
from minibase.postgres.bootstrap import bootstrap, keep_partitions
from minibase.postgres.database import replace_database, settle_databases
from minibase.postgres.endpoint import HOST, Endpoint
from minibase.postgres.keeper import keep_running
from minibase.postgres.migrate import Say, migrate, seed
from minibase.postgres.server import (
    PortTakenError,
    Server,
    ServerPlan,
    free_port,
    open_server,
    require_free_port,
)
from minibase.project import Project, Runtime

_PARTITIONS_EVERY = 6 * 3600.0
_MAX_FRAME = 5_000_000  # what hosted Realtime takes from a client
# Clients give up idle connections after 4 s (undici) to a minute; who closes first must be they, never we: a request
# that meets our close is lost without an answer. Hosted gateways wait this long or longer.
_IDLE_SECONDS = 75
_GRACE_SECONDS = 1
_STOP_LIMIT = 2.0
"""What requests and sockets get to finish in; with Postgres' own stop the whole stays under five seconds."""


async def serve(
    project: Project, config: Config, options: StartOptions, say: Say, on_ready: Callable[[], None]
) -> None:
    """Run until SIGINT, SIGTERM or the end of the lifeline; those are a normal return.

    Raises MinibaseError: already running, a taken port, a failing migration, a Postgres that does not start. One that
    ends later is started again.
    """
    if options.lifeline is not None:
        _require_open(options.lifeline)
    with project.lock():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
            if options.lifeline is not None:
                tasks.start_soon(_cancel_on_end_of, options.lifeline, tasks.cancel_scope)
            await _run(project, config, options, say, on_ready)


async def on_database(
    project: Project, config: Config, pg_bin: str | None, work: Callable[[Endpoint], Awaitable[None]]
) -> None:
    """Do `work` on the project's database: the running one, else one started for the purpose and stopped after."""
    runtime = project.runtime()
    if runtime is not None:
        passwords = project.secrets().passwords
        try:
            await work(Endpoint(host=HOST, port=runtime.db_port, passwords=passwords))
        except (asyncpg.PostgresConnectionError, OSError) as error:
            raise MinibaseError(
                f"The database of the running minibase (pid {runtime.pid}) broke off: {error}. "
                f"Look into {project.postgres_log}, and start minibase again."
            ) from error
        return
    with project.lock():
        async with _open_postgres(project, free_port(), pg_bin, project.secrets()) as server:
            await settle_databases(server.endpoint)
            await bootstrap(server.endpoint, auto_expose_new_tables=config.auto_expose_new_tables)
            await work(server.endpoint)


async def reset(project: Project, config: Config, endpoint: Endpoint, say: Say) -> None:
    """Begin anew: bootstrap, migrations, seed. Where one of them fails, the old contents stay."""

    async def fill(fresh: Endpoint) -> None:
        await bootstrap(fresh, auto_expose_new_tables=config.auto_expose_new_tables)
        await apply_files(project, config, fresh, say)

    await replace_database(endpoint, fill)


async def apply_files(
    project: Project, config: Config, endpoint: Endpoint, say: Say, *, include_all: bool = False
) -> int:
    """Apply pending migrations, then seeds that have not run; returns how many files ran."""
    applied = 0
    if config.migrations_enabled:
        applied += await migrate(endpoint, project.migrations, say, include_all=include_all)
    if config.seed_enabled:
        applied += await seed(endpoint, project.workdir, config.seed_paths, say)
    return applied


async def _run(project: Project, config: Config, options: StartOptions, say: Say, on_ready: Callable[[], None]) -> None:
    if config.unknown:
        say(f"warning: {CONFIG_FILE} has keys that nobody is known to read: {', '.join(config.unknown)}")
    secrets = project.secrets()
    with _listen(project, options.api_port, config.api_port) as listener:
        db_port = _choose_port(project, "db", options.db_port, config.db_port)
        config = replace(config, api_port=listener.getsockname()[1], db_port=db_port)
        # The API's imports take as long as Postgres' start, so both go on at once; the import below waits for these.
        Thread(target=_import_services, name="imports", daemon=True).start()
        async with _open_postgres(project, db_port, options.pg_bin, secrets) as server:
            await settle_databases(server.endpoint)
            await bootstrap(server.endpoint, auto_expose_new_tables=config.auto_expose_new_tables)
            await apply_files(project, config, server.endpoint, say)
            from minibase.app import build

            async with open_api(build(config=config, keyring=Keyring(secrets), endpoint=server.endpoint), listener):
                project.publish(_runtime(config, server))
                on_ready()
                await _stay(server, say)


def _import_services() -> None:
    """Only here: the commands that need no API start without its imports."""
    import minibase.app  # noqa: F401


def _runtime(config: Config, server: Server) -> Runtime:
    return Runtime(pid=os.getpid(), api_port=config.api_port, db_port=config.db_port, postgres_version=server.version)


async def _stay(server: Server, say: Say) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_partitions_made, server.endpoint, say)
        await keep_running(server, say)


@asynccontextmanager
async def _open_postgres(project: Project, port: int, pg_bin: str | None, secrets: Secrets) -> AsyncIterator[Server]:
    home = project.data_home()
    binaries = await anyio.to_thread.run_sync(reachable_binaries, find_binaries(pg_bin), home.account, home.folder)
    os.close(project.log_descriptor(project.postgres_log))
    plan = ServerPlan(home=home.folder, log=project.postgres_log, binaries=binaries, account=home.account, port=port)
    async with open_server(plan, secrets.passwords) as server:
        yield server


def _choose_port(project: Project, purpose: str, choice: PortChoice, configured: int) -> int:
    """`auto` stays with what it chose before as long as that is free."""
    if choice != AUTO:
        return configured if choice is None else int(choice)
    remembered = project.remembered_port(purpose)
    if remembered is not None:
        try:
            require_free_port(remembered, "--port")
        except PortTakenError:
            pass
        else:
            return remembered
    port = free_port()
    project.remember_port(purpose, port)
    return port


@contextmanager
def _listen(project: Project, choice: PortChoice, configured: int) -> Iterator[socket.socket]:
    """The API's socket, bound before anything slow happens, so that a taken port is reported at once."""
    port = _choose_port(project, "api", choice, configured)
    require_free_port(port, "--port")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        yield listener


class _Api(uvicorn.Server):
    """uvicorn without its own signal handling, and with a moment one can wait for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = anyio.Event()
        # Serving ends by `should_exit`, in order; the deadline, set then, is for a service that never finishes.
        self.scope = anyio.CancelScope(shield=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with self.scope:
            try:
                await super().serve(sockets)
            except SystemExit:
                pass  # uvicorn's way to say that the app did not start; `started` says it too
            finally:
                self.settled.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()


@asynccontextmanager
async def open_api(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an ASGI app on a bound socket as long as the block lasts; at its end requests get a short grace."""
    api = _Api(
        uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=_MAX_FRAME,
            ws_per_message_deflate=False,  # costs more than loopback saves, for each subscriber anew
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(api.serve, [listener])
        try:
            await api.settled.wait()
            if not api.started:
                raise MinibaseError("The API did not start; the reason stands above.")
            yield
        finally:
            api.should_exit = True
            api.scope.deadline = anyio.current_time() + _STOP_LIMIT


async def _keep_partitions_made(endpoint: Endpoint, say: Say) -> None:
    while True:
        await anyio.sleep(_PARTITIONS_EVERY)
        try:
            await keep_partitions(endpoint)
        except (asyncpg.PostgresError, OSError) as error:
            say(f"partitions of realtime.messages could not be made, will try again: {error}")


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _require_open(lifeline: int) -> None:
    try:
        os.fstat(lifeline)
    except OSError as error:
        raise MinibaseError(
            f"--lifeline {lifeline} is no open file descriptor. Pass on the read end of a pipe (pass_fds)."
        ) from error


async def _cancel_on_end_of(pipe: int, scope: anyio.CancelScope) -> None:
    while True:
        await anyio.wait_readable(pipe)
        if not os.read(pipe, 4096):
            scope.cancel()
            return
