"""`scripts/bench`: the figures of docs/benchmarks.md, each from real processes."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
from typing import Any

import click
from figures import machine, table
from growth import measure_growth
from live import measure_live
from live_soak import run_live_soak
from processes import clean_environment, stackbeat
from rest import measure_rest
from soak import run_soak
from ui import measure_ui
from viewer import measure_viewer

BEAT_COLUMNS = (
    "stacks",
    "wall_s",
    "ideal_s",
    "overhead_s",
    "runs",
    "claim_ms",
    "commit_ms",
    "statements_per_run",
    "calls_per_run",
    "client_cpu_ms_per_run",
    "server_cpu_ms_per_run",
    "db_cpu_ms_per_run",
)


@click.group()
def bench() -> None:
    """Measure."""


@bench.command()
@click.option("--stacks", default="1,10,50,100", show_default=True, help="How many play at once; several by commas.")
@click.option("--latency", default="0", show_default=True, help="The model's delay in seconds, or a range.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(1), help="Runs of each; medians are shown.")
@click.option("--json", "as_json", is_flag=True)
def beat(*, stacks: str, latency: str, repeat: int, as_json: bool) -> None:
    """One beat of N stacks x 4 agents in order, by `stackbeat bench beat`, each on a fresh throw-away minibase."""
    counts = [int(count) for count in stacks.split(",")]
    rows = [_median([_one_beat(count, latency) for _ in range(repeat)]) for count in counts]
    found = {"latency": latency, "repeat": repeat, "machine": machine(), "beats": rows}
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"one beat, model delay {latency} s, median of {repeat}, {found['machine']}\n\n{table(rows)}")


@bench.command()
@click.option("--stacks", default=100, show_default=True, type=click.IntRange(1), help="How many play meanwhile.")
@click.option("--delay", default="1-3", show_default=True, help="The model's delay in seconds, drawn from a range.")
@click.option("--triggers", default=30, show_default=True, type=click.IntRange(1), help="Plays, and questions.")
@click.option("--json", "as_json", is_flag=True)
def ui(*, stacks: int, delay: str, triggers: int, as_json: bool) -> None:
    """From a trigger to what a real Chromium paints, on a real `stackbeat up` with N stacks playing."""
    found = asyncio.run(measure_ui(stacks=stacks, delay=delay, triggers=triggers))
    found["machine"] = machine()
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [{"milliseconds": name, **values} for name, values in found["ms"].items()]
    click.echo(f"{found['playing']} playing, model delay {delay} s, {found['machine']}\n\n{table(rows)}\n")
    worst = found["ms"]["play to first trace painted"]["p95"]
    click.echo(f"The record's line: trigger to trace in the UI < 5000 ms. Here p95 is {worst} ms.")


@bench.command()
@click.option("--minutes", default=30.0, show_default=True, type=click.FloatRange(0.1), help="How long people act.")
@click.option("--stacks", default=100, show_default=True, type=click.IntRange(1), help="How many play at any time.")
@click.option("--daemons", default=2, show_default=True, type=click.IntRange(1), help="How many share them.")
@click.option("--kill-every", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds between kills.")
def soak(*, minutes: float, stacks: int, daemons: int, kill_every: float) -> None:
    """Kill daemons under a working fleet that people interfere with; exit code 1 if an invariant is ever broken."""
    found = asyncio.run(
        run_soak(minutes=minutes, stacks=stacks, daemons=daemons, kill_every_s=kill_every, say=click.echo)
    )
    click.echo(json.dumps(found))
    if found["violations"]:
        raise SystemExit(1)


@bench.command()
@click.option("--agents", default="real", show_default=True, type=click.Choice(["real", "bench"]))
@click.option("--stacks", default=20, show_default=True, type=click.IntRange(1), help="How many play at any time.")
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--json", "as_json", is_flag=True)
def growth(*, agents: str, stacks: int, minutes: float, as_json: bool) -> None:
    """Rows and bytes per stack-hour and table, by a fleet at play with a model delay of 1-3 s (docs/growth.md)."""
    found = asyncio.run(measure_growth(agents=agents, stacks=stacks, minutes=minutes))
    if as_json:
        click.echo(json.dumps(found))
        return
    tables = found.pop("tables")
    click.echo(f"{found}\n\n{table(tables)}")


@bench.command()
@click.option("--work", default="demo", show_default=True, type=click.Choice(["idle", "demo", "cadence"]))
@click.option("--stacks", default=3, show_default=True, type=click.IntRange(1), help="How many there are.")
@click.option("--minutes", default=4.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--json", "as_json", is_flag=True)
def viewer(*, work: str, stacks: int, minutes: float, as_json: bool) -> None:
    """Realtime messages per viewer-hour, and rows per stack-hour, at rest or at work."""
    found = asyncio.run(measure_viewer(work=work, stacks=stacks, minutes=minutes))
    click.echo(json.dumps(found) if as_json else table([found]))


@bench.command()
@click.option("--changes", type=click.IntRange(1), help="Of each case; else 300, or 100 with many claims.")
@click.option(
    "--most", default=500, show_default=True, type=click.IntRange(1), help="Leave out cases with more sockets."
)
@click.option("--json", "as_json", is_flag=True)
def realtime(*, changes: int | None, most: int, as_json: bool) -> None:
    """From an INSERT to the sockets that hear of it, bursts, broadcasts, and what waiting costs, on minibase."""
    found = asyncio.run(measure_live(changes=changes, most=most))
    found["machine"] = machine()
    if as_json:
        click.echo(json.dumps(found))
        return
    tables = [table(found[name]) for name in ("steady", "bursts", "broadcasts", "beside") if found[name]]
    click.echo("\n\n".join([str(found["machine"]), *tables]))
    click.echo(f"\nidle, percent of a core: {found['idle_cpu_percent']}")


@bench.command()
@click.option("--connections", default="1,16", show_default=True, help="How many callers at once; several by commas.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="Of each round.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Medians are shown.")
@click.option("--json", "as_json", is_flag=True)
def rest(*, connections: str, seconds: float, rounds: int, as_json: bool) -> None:
    """Requests a second of the data API under RLS with a token, beside the same by the driver, on minibase."""
    counts = tuple(int(count) for count in connections.split(","))
    rows = measure_rest(seconds=seconds, connections=counts, rounds=rounds)
    if as_json:
        click.echo(json.dumps({"requests": rows, "machine": machine()}))
        return
    click.echo(f"{machine()}\n\n{table(rows)}")


@bench.command()
@click.option("--minutes", default=20.0, show_default=True, type=click.FloatRange(0.1))
@click.option("--subscribers", default=200, show_default=True, type=click.IntRange(1), help="How many come and go.")
@click.option("--per-second", default=5.0, show_default=True, type=click.FloatRange(0.1), help="Changes they hear of.")
def realtime_soak(*, minutes: float, subscribers: int, per_second: float) -> None:
    """Subscribers come, go and change tokens; exit code 1 if one of them missed a change or was refused."""
    found = asyncio.run(run_live_soak(minutes=minutes, subscribers=subscribers, per_second=per_second, say=click.echo))
    click.echo(json.dumps(found | {"machine": machine()}))
    if (
        found["broken"]
        or found.get("missed")
        or found.get("out_of_order")
        or any(name.startswith(("refused", "lost")) for name in found)
    ):
        raise SystemExit(1)


def _one_beat(stacks: int, latency: str) -> dict[str, Any]:
    command = stackbeat("bench", "beat", "--stacks", str(stacks), "--latency", latency, "--json")
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise click.ClickException(f"{stacks} stacks: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["runs"] != stacks * 4 or found["failed_runs"]:
        raise click.ClickException(f"{stacks} stacks: {found['runs']} runs committed, {found['failed_runs']} failed")
    return found


def _median(beats: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: _middle([beat[name] for beat in beats]) for name in BEAT_COLUMNS}


def _middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


if __name__ == "__main__":
    bench(prog_name="scripts/bench")
