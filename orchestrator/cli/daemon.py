"""The daemon as the commands run it: settings read before anything is started, failures told in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.target import Target
from orchestrator.config import FILE_NAME, Config, ConfigError, ProviderName
from orchestrator.facts import Observer

# Stands in until minibase has started and says its own address and key; a wrong setting must not wait for that.
_PENDING = {"SUPABASE_URL": "http://127.0.0.1", "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_pending"}


def daemon_settings(environ: Mapping[str, str], workdir: Path, target: Target | None) -> Config:
    """The settings of the environment and of stackbeat.toml in `workdir`, for `target`.

    Raises CliError for an unknown key or a value that cannot be.
    """
    named = (
        _PENDING if target is None else {"SUPABASE_URL": target.url, "SUPABASE_SERVICE_ROLE_KEY": target.service_key}
    )
    file = workdir / FILE_NAME
    try:
        return Config.load({**environ, **named}, file if file.is_file() else None)
    except ConfigError as error:
        raise CliError(str(error), ExitCode.USAGE) from error


def is_simulated(config: Config) -> bool:
    """True where no real model is asked."""
    return config.models.chain() == (ProviderName.SIMULATED,)


async def run_daemon_for_people(config: Config, observer: Observer) -> None:
    """Run the daemon until it is cancelled. Raises CliError where it cannot work at all."""
    from orchestrator.daemon import run_daemon

    with told_to_people():
        await run_daemon(config, observer=observer)


@contextmanager
def told_to_people() -> Iterator[None]:
    """Turn the daemon's own errors into CliError: their texts are sentences already."""
    from orchestrator.daemon import TickError
    from orchestrator.registry import RegistryError
    from orchestrator.store import StoreError

    try:
        yield
    except StoreError as error:
        raise CliError(str(error), ExitCode.NO_SUPABASE) from error
    except TickError as error:
        raise CliError(str(error), ExitCode.BUSY) from error
    except RegistryError as error:
        raise CliError(str(error)) from error
