"""bench live: a stack on real models up to its first artifact, with a cap, a limit of time and a report."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import click

from orchestrator.bench.live import End, Limits, bench_live
from orchestrator.cli.daemon import daemon_settings, is_simulated, told_to_people
from orchestrator.cli.door import one_sentence
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.ground import open_ground
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.process import run_until_signal
from orchestrator.facts import (
    AgentBroke,
    BreakerOpened,
    CallAttempted,
    Fact,
    PriceUnknown,
    ProviderAlarm,
    RunBegun,
    RunCommitted,
    RunRefused,
)
from orchestrator.sentences import sentence

SHOWN = (
    *(AgentBroke, BreakerOpened, CallAttempted, PriceUnknown, ProviderAlarm),
    *(RunBegun, RunCommitted, RunRefused),
)
NO_KEY = "no provider key is set: set GROQ_API_KEY or OPENAI_API_KEY to ask a real model"
# With 5 USD it can be no more than an accident of this size; whoever wants more runs a daemon.
MOST_USD = 5.0


@click.command("live")
@click.option(
    "--cap", default=0.25, show_default=True, type=click.FloatRange(0.0001, MOST_USD), help="Dollars it may cost."
)
@click.option("--limit", default=600.0, show_default=True, type=click.FloatRange(1, 3_600), help="Seconds it may take.")
@click.option(
    "--report",
    default=Path("live-check.json"),
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the figures go; a short text and the page go beside it.",
)
@json_option
def live(cap: float, limit: float, report: Path, as_json: bool) -> None:
    """Play one stack with real models up to its first artifact, and report what that took."""
    if is_simulated(daemon_settings(os.environ, Path.cwd(), None)):
        raise CliError(NO_KEY, ExitCode.USAGE)
    found: dict[str, Any] = {}

    def keep(values: dict[str, Any]) -> None:
        found.update(values)
        _write(report, values)

    run_until_signal(_live, Limits(usd=Decimal(str(cap)), seconds=limit), keep)
    if not found:
        raise CliError("stopped before anything was asked")
    if as_json:
        print_json(found)
    else:
        print_line(f"{found['said']}; the report is in {report}")
    codes = {End.ARTIFACT: ExitCode.OK, End.TIME: ExitCode.NO_ANSWER}
    raise SystemExit(codes.get(End(found["verdict"]), ExitCode.FAILED))


async def _live(limits: Limits, report: Any) -> None:
    async with open_ground() as (target, _):
        config = daemon_settings(os.environ, Path.cwd(), target)
        with told_to_people(), one_sentence(target):
            await bench_live(config, limits, _show, report)


def _show(fact: Fact) -> None:
    if isinstance(fact, SHOWN):
        print_line(sentence(fact, ""), err=True)


def _write(report: Path, found: dict[str, Any]) -> None:
    """The figures, the short text and the page, three files of one name. Raises CliError."""
    artifact = found["artifact"] or {}
    page = artifact.pop("content", None)
    write = partial(Path.write_text, encoding="utf-8")
    try:
        write(report, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        write(report.with_suffix(".txt"), _text(found))
        if page is not None:
            write(report.with_suffix(".html"), page)
    except OSError as error:
        raise CliError(
            f"cannot write {error.filename}: {error.strerror}; give --report a place", ExitCode.USAGE
        ) from error


def _text(found: dict[str, Any]) -> str:
    lines = [found["said"], ""]
    for run in found["runs"]:
        lines.append(f"{run['agent']}, {run['reason']}: {run['status']}{': ' + run['error'] if run['error'] else ''}")
        lines += [f"  {_call(call)}" for call in run["calls"]]
    if found["artifact"]:
        lines.append(f"artifact: version {found['artifact']['version']}, {found['artifact']['bytes']} bytes")
        lines += [f"  {finding}" for finding in found["artifact"]["findings"]]
    return "\n".join(lines) + "\n"


def _call(call: dict[str, Any]) -> str:
    return (
        f"{call['provider']} {call['model']}: {call['error'] or call['finish_reason']}, "
        f"{call['tokens_in']} in, {call['tokens_out']} out, {call['cost_usd']} USD, {call['latency_ms']} ms"
    )
