"""prune: what the daemon deletes every hour by itself, now and as far as it is wanted."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from orchestrator.cli.daemon import daemon_settings, told_to_people
from orchestrator.cli.door import connect
from orchestrator.cli.dotenv import environment
from orchestrator.cli.output import Column, json_option, print_json, print_table
from orchestrator.cli.process import run_until_signal
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.config import Config, Retention
from orchestrator.facts import Fact, Pruned

if TYPE_CHECKING:
    from supabase import Client

# What the verb deletes: a table, the time that tells its rows' age, and the setting that says how old they may be.
AGES = (
    ("agent_traces", "created_at", "traces_days"),
    ("agent_executions", "completed_at", "runs_days"),
    ("llm_calls", "created_at", "calls_days"),
    ("workers", "heartbeat_at", "runs_days"),
)
DAYS = click.IntRange(1, 36_500)


@click.command("prune")
@click.option("--traces-days", type=DAYS, help="Keep traces this long (default: as the settings say).")
@click.option("--runs-days", type=DAYS, help="Keep runs this long (default: as the settings say).")
@click.option(
    "--calls-days", type=DAYS, help="Keep the ledger of model calls this long (default: as the settings say)."
)
@click.option("--dry-run", is_flag=True, help="Count what is too old; delete nothing.")
@workdir_option
@json_option
def prune(*, dry_run: bool, workdir: Path, as_json: bool, **days: int | None) -> None:
    """Delete old traces, runs and ledger rows now, as the daemon does every hour."""
    target = resolve(workdir)
    settings = daemon_settings(environment(workdir), workdir, target)
    given = {name: count for name, count in days.items() if count is not None}
    retention = settings.retention.model_copy(update=given)
    rows: Counter[str] = Counter({table: 0 for table, _, _ in AGES})
    if dry_run:
        with connect(target) as client:
            rows.update(_count(client, retention))
    else:
        run_until_signal(_sweep, settings, retention, _Progress(rows=rows, shown=not as_json))
    _print(rows, retention, dry_run=dry_run, as_json=as_json)


def _count(client: Client, retention: Retention) -> dict[str, int]:
    now = datetime.now(UTC)  # the verb takes the database's clock; a count by days forgives the difference
    found = {}
    for table, column, setting in AGES:
        oldest = now - timedelta(days=getattr(retention, setting))
        query = client.table(table).select("*", count="exact", head=True).lt(column, oldest.isoformat())  # type: ignore[arg-type]
        found[table] = query.execute().count or 0
    return found


async def _sweep(settings: Config, retention: Retention, observer: _Progress) -> None:
    from orchestrator.retention import Sweeper
    from orchestrator.store import open_store

    with told_to_people():
        async with open_store(settings, worker=uuid4(), observer=observer) as store:
            await store.check_version()
            await Sweeper(store=store, retention=retention, observer=observer).sweep()


class _Progress:
    """Adds up what each batch deleted; on a terminal in one line, in a pipe a line each."""

    def __init__(self, *, rows: Counter[str], shown: bool) -> None:
        self._rows = rows
        self._shown = shown

    def __call__(self, fact: Fact) -> None:
        if not isinstance(fact, Pruned):
            return
        self._rows.update(fact.deleted)
        if self._shown:
            so_far = ", ".join(f"{count} of {table}" for table, count in self._rows.items() if count)
            again = "\r" if sys.stderr.isatty() else ""
            click.echo(f"{again}deleted {so_far}", err=True, nl=not again)


def _print(rows: Counter[str], retention: Retention, *, dry_run: bool, as_json: bool) -> None:
    days: dict[str, int] = {table: getattr(retention, setting) for table, _, setting in AGES}
    if as_json:
        print_json({"dry_run": dry_run, "rows": dict(rows), "older_than_days": days})
        return
    if any(rows.values()) and not dry_run and sys.stderr.isatty():
        click.echo(err=True)
    table: list[dict[str, Any]] = [{"table": name, "days": days[name], "rows": rows[name]} for name in days]
    heading = "TOO OLD" if dry_run else "DELETED"
    columns = (("TABLE", "table"), ("OLDER THAN DAYS", "days"), (heading, "rows"))
    print_table(table, [Column(title=title, value=value) for title, value in columns])
