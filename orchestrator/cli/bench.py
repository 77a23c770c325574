"""bench: figures of the real path, on a throw-away minibase unless SUPABASE_URL says otherwise."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import click

from orchestrator.bench.beat import Ground, Shape, bench_beat, compare_plain
from orchestrator.bench.control import bench_control
from orchestrator.bench.economy import Span, bench_economy
from orchestrator.cli.bench_live import live
from orchestrator.cli.daemon import daemon_settings, told_to_people
from orchestrator.cli.door import one_sentence
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.ground import open_ground
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.record import record
from orchestrator.store import StoreError

Latency = tuple[float, float]


class LatencyType(click.ParamType[Latency]):
    """Seconds, `2`, or a range to draw from, `1-3`."""

    name = "A-B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Latency:
        """The two bounds; fails with a usage error for anything else."""
        low, _, high = str(value).partition("-")
        try:
            bounds = (float(low), float(high or low))
        except ValueError:
            bounds = (math.nan, math.nan)
        if not 0 <= bounds[0] <= bounds[1] < math.inf:
            self.fail(f"{value!r} is not a time; give seconds like 2, or a range like 1-3", param, ctx)
        return bounds


@click.group("bench")
def bench() -> None:
    """Measure."""


bench.add_command(record)
bench.add_command(live)


@bench.command("beat")
@click.option("--stacks", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many play at once.")
@click.option("--latency", default="0", show_default=True, type=LatencyType(), help="The model's delay in seconds.")
@click.option("--cycles", default=1, show_default=True, type=click.IntRange(1, 1000), help="Turns of each agent.")
@click.option(
    "--daemons", default=1, show_default=True, type=click.IntRange(1, 16), help="Daemons that share the work."
)
@click.option("--parallel", is_flag=True, help="All four agents together instead of one after another.")
@click.option("--wire", is_flag=True, help="Ask the model through the provider's SDK.")
@click.option("--minutes", type=click.FloatRange(min=0.1), help="Go on for so long, a round each cadence (10 s).")
@click.option(
    "--compare",
    type=click.Choice(["plain"]),
    help="Measure the same job without an orchestrator in turns with ours; medians of five.",
)
@json_option
def beat(*, latency: Latency, compare: str | None, as_json: bool, **shape: Any) -> None:
    """Play N fresh stacks of four agents each and time them until the last one has committed."""
    found: dict[str, Any] = {}
    measure = bench_beat if compare is None else compare_plain
    run_until_signal(_measure, found, partial(measure, shape=Shape(latency=latency, **shape)))
    if not found:
        raise CliError("stopped before there was a figure")
    if as_json:
        print_json(found)
        return
    _print_figures(found)


def _print_figures(found: dict[str, Any]) -> None:
    """A line a figure; beside it plain's and the ratio, where they were measured."""
    plain, ratio = found.pop("plain", None), found.pop("ratio", {})
    if plain is not None:
        click.echo(f"{'':<24} {'ours':<12} {'plain':<12} ratio")
    for name, value in found.items():
        beside = "" if plain is None else f" {plain.get(name, '')!s:<12} {ratio.get(name, '')}"
        click.echo(f"{name:<24} {value!s:<12}{beside}".rstrip())


@bench.command("control")
@click.option("--tries", default=20, show_default=True, type=click.IntRange(1, 1000), help="Plays, and stops.")
@click.option("--busy", default=0, show_default=True, type=click.IntRange(0, 10_000), help="Other stacks at work.")
@click.option("--no-signals", is_flag=True, help="With realtime out of the daemon's reach.")
@json_option
def control(*, tries: int, busy: int, no_signals: bool, as_json: bool) -> None:
    """Time plays and stops by plain SQL: until the first run has started, and until the model's call is cancelled."""
    found: dict[str, Any] = {}
    run_until_signal(_control, found, partial(bench_control, tries=tries, busy=busy, signals=not no_signals))
    if not found:
        raise CliError("stopped before there was a figure")
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:<24} {_in_words(value)}")


async def _control(found: dict[str, Any], measure: partial[Any]) -> None:
    async with open_ground() as (target, _):
        if target.db_url is None:
            raise CliError(
                "plays and stops go straight to Postgres: set DB_URL beside SUPABASE_URL, or unset both", ExitCode.USAGE
            )
        if measure.keywords["signals"] is False and not target.url.startswith("http://"):
            raise CliError(f"realtime can be cut off from a plain http address only, not {target.url}", ExitCode.USAGE)
        settings = daemon_settings(os.environ, Path.cwd(), target)
        try:
            found.update(await measure(settings, db_url=target.db_url))
        except* TimeoutError as late:
            raise CliError("the daemon did not do what a play or a stop asks for in time", ExitCode.NO_ANSWER) from late
        except* StoreError as away:
            raise CliError(str(away.exceptions[0]), ExitCode.NO_SUPABASE) from away
        except* (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as refused:
            sentence = f"the database at DB_URL does not do for this: {refused.exceptions[0]}"
            raise CliError(sentence, ExitCode.NO_SUPABASE) from refused


@bench.command("economy")
@click.option("--stacks", default=10, show_default=True, type=click.IntRange(1, 200), help="How many live at once.")
@click.option("--hours", default=8.0, show_default=True, type=click.FloatRange(0.1, 48), help="Hours, of fake time.")
@json_option
def economy(*, stacks: int, hours: float, as_json: bool) -> None:
    """Count what a fleet asks of its models in hours of its life; always on a minibase that is thrown away."""
    found: dict[str, Any] = {}
    run_until_signal(_economy, found, Span(stacks=stacks, hours=hours))
    if not found:
        raise CliError("stopped before there was a figure")
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        nested = isinstance(value, dict)
        click.echo(name if nested else f"{name:<30} {value}")
        for part, number in value.items() if nested else ():
            click.echo(f"  {part:<28} {_in_words(number)}")


async def _economy(found: dict[str, Any], span: Span) -> None:
    async with open_ground(own=True) as (target, _):
        settings = daemon_settings(os.environ, Path.cwd(), target)
        with told_to_people(), one_sentence(target):
            assert target.db_url is not None  # minibase says it
            found.update(await bench_economy(settings, span, db_url=target.db_url))


def _in_words(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return "  ".join(f"{name} {number}" for name, number in value.items())


async def _measure(found: dict[str, Any], measure: partial[Any]) -> None:
    async with open_ground() as (target, pid):
        shape: Shape = measure.keywords["shape"]
        if measure.func is compare_plain and target.db_url is None:
            raise CliError(
                "plain goes straight to Postgres: set DB_URL beside SUPABASE_URL, or unset both", ExitCode.USAGE
            )
        config = daemon_settings(os.environ, Path.cwd(), target)
        ground = Ground(config=config, db_url=target.db_url, db_admin_url=target.db_admin_url, server_pid=pid)
        with told_to_people(), one_sentence(target):
            found.update(await measure(ground) | shape.as_values())
