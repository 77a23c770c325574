"""The daemon as the commands run it: settings read before anything is started, failures told in a sentence."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.ports import Choice, PortType, Use, listen, url_of
from orchestrator.cli.target import Target
from orchestrator.config import FILE_NAME, Config, ConfigError, ProviderName
from orchestrator.facts import MonitorServed, Observer, tell
from orchestrator.groups import leaves
from orchestrator.prompts import read_prompt

# Stands in until minibase has started and says its own address and key; a wrong setting must not wait for that.
_PENDING = {"SUPABASE_URL": "http://127.0.0.1", "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_pending"}

METRICS_USE = Use(name="metrics", option="--metrics-port")

metrics_option: Callable[[Any], Any] = click.option(
    "--metrics-port",
    type=PortType(),
    help="Serve /metrics, /health and /ready here (default: the setting metrics_port, else not at all).",
)


def daemon_settings(environ: Mapping[str, str], workdir: Path, target: Target | None) -> Config:
    """The settings of the environment and of stackbeat.toml in `workdir`, for `target`.

    Raises CliError for an unknown key, a value that cannot be, or a prompt that cannot be read.
    """
    named = (
        _PENDING if target is None else {"SUPABASE_URL": target.url, "SUPABASE_SERVICE_ROLE_KEY": target.service_key}
    )
    file = workdir / FILE_NAME
    try:
        config = Config.load({**environ, **named}, file if file.is_file() else None)
        for name, agent in config.agents.items():
            if agent.prompt is not None:
                read_prompt(name, agent.prompt)  # the daemon reads it, too, but only once everything is started
    except ConfigError as error:
        raise CliError(str(error), ExitCode.USAGE) from error
    return config


def is_simulated(config: Config) -> bool:
    """True where no real model is asked."""
    return not {*config.models.chain()} - {ProviderName.SIMULATED, ProviderName.REPLAY}


@contextmanager
def metrics_listener(choice: Choice | None, config: Config) -> Iterator[socket.socket | None]:
    """A socket bound for the daemon's monitor, by the option or else the setting; None where neither is given.

    Raises CliError where the port is taken or the address is not this machine's.
    """
    port = config.metrics_port if choice is None else choice
    if port is None:
        yield None
        return
    with listen(port, METRICS_USE, host=config.metrics_host) as listener:
        yield listener


async def run_daemon_for_people(config: Config, observer: Observer, metrics: socket.socket | None = None) -> None:
    """Run the daemon until it is cancelled, watched through `metrics`. Raises CliError where it cannot work at all."""
    from orchestrator.daemon import run_daemon

    if metrics is None:
        with told_to_people():
            await run_daemon(config, observer=observer)
        return
    from orchestrator import web
    from orchestrator.monitor.endpoints import Monitor

    monitor = Monitor(config)
    async with web.serve(monitor.app, metrics):
        everybody = tell(observer, monitor.observe)
        everybody(MonitorServed(url=url_of(metrics)))
        with told_to_people():
            await run_daemon(config, observer=everybody, watch=monitor.watch)


@contextmanager
def told_to_people() -> Iterator[None]:
    """Turn the daemon's own errors, alone or among others, into CliError: their texts are sentences already."""
    from orchestrator.daemon import TickError
    from orchestrator.llm.replay import RecordingError
    from orchestrator.registry import RegistryError
    from orchestrator.store import StoreError

    codes = {
        StoreError: ExitCode.NO_SUPABASE,
        TickError: ExitCode.BUSY,
        RegistryError: ExitCode.FAILED,
        ConfigError: ExitCode.USAGE,
        RecordingError: ExitCode.USAGE,
    }
    try:
        yield
    except Exception as error:
        for leaf in leaves(error):
            code = codes.get(type(leaf))
            if code is not None:
                raise CliError(str(leaf), code) from error
        raise
