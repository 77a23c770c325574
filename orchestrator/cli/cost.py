"""cost and budget: what was spent, by whom, and what may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from orchestrator.cli.choose import choose
from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import Column, json_option, print_json, print_line, print_rows, print_table
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import PAGE_ROWS, fetch_stacks

if TYPE_CHECKING:
    from supabase import Client

Row = dict[str, Any]
KEYS = {"role": "agent_type", "model": "model", "hour": "hour", "stack": "stack_id"}
COUNTED = ("calls", "failed", "tokens_in", "tokens_cached", "tokens_out")
DELETED = "(deleted)"


@click.command("cost", help="Show what models have cost: calls, tokens and dollars, by role, model, hour or stack.")
@click.option("--stack", "reference", metavar="STACK", help="Of one stack only.")
@click.option("--by", type=click.Choice(list(KEYS)), default="role", show_default=True, help="One line for each.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 366), help="How far back.")
@workdir_option
@json_option
def cost(*, reference: str | None, by: str, hours: int, workdir: Path, as_json: bool) -> None:
    """Print the ledger's sums; simulated calls cost nothing and are counted all the same."""
    with connect(resolve(workdir)) as client:
        stacks = fetch_stacks(client)
        stack = None if reference is None else choose(stacks, reference)
        rows = _fetch(client, "spending", since=_hours_ago(hours), stack_id=None if stack is None else stack["id"])
    names = {row["id"]: row["participant_name"] for row in stacks}
    found = summed(rows, by, names)
    if as_json:
        print_json({"since": _hours_ago(hours), "by": by, "rows": found, "total": summed(rows, None, names)[0]})
        return
    if not rows:
        print_line(f"no model was asked in the last {hours} hours")
        return
    total = summed(rows, None, names)[0] | {by: "all"}
    heads = {"calls": "CALLS", "failed": "FAILED", "tokens_in": "IN", "tokens_cached": "CACHED", "tokens_out": "OUT"}
    print_table(
        [*found, total],
        (
            Column(title=by.upper(), value=by),
            *(Column(title=title, value=key) for key, title in heads.items()),
            Column(title="USD", value=lambda row: f"{Decimal(row['cost_usd']):.4f}"),
        ),
    )


def summed(rows: Sequence[Mapping[str, Any]], by: str | None, names: Mapping[str, str]) -> list[Row]:
    """The rows of the view `spending` added up by one of its keys (None: all together), the dearest first."""
    sums: dict[str, Row] = {} if by else {"": _empty()}
    for row in rows:
        label = "" if by is None else str(row[KEYS[by]])
        if by == "stack":
            label = names.get(label, DELETED)
        total = sums.setdefault(label, _empty())
        for key in COUNTED:
            total[key] += row[key]
        total["cost_usd"] += Decimal(str(row["cost_usd"]))
    found = [({} if by is None else {by: label}) | total for label, total in sums.items()]
    if by == "hour":
        return sorted(found, key=lambda total: str(total["hour"]))
    return sorted(found, key=lambda total: (-total["cost_usd"], -total["calls"]))


def _empty() -> Row:
    return {**dict.fromkeys(COUNTED, 0), "cost_usd": Decimal(0)}


def _hours_ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0).isoformat()


def _fetch(client: Client, view: str, *, since: str, stack_id: str | None) -> list[Row]:
    rows: list[Row] = []
    while True:
        query = client.table(view).select("*").gte("hour", since)
        if stack_id is not None:
            query = query.eq("stack_id", stack_id)
        query = query.order("hour").order("stack_id").order("agent_type").order("provider").order("model")
        page = cast("list[Row]", query.range(len(rows), len(rows) + PAGE_ROWS - 1).execute().data)
        rows += page
        if len(page) < PAGE_ROWS:
            return rows


@click.group("budget", help="The most that may be spent, by everybody, a stack or a role.")
def budget() -> None:
    """Budgets are rows of the table `budgets`; these commands are one INSERT, UPDATE or DELETE each."""


BUDGET_COLUMNS = (
    Column(title="STACK", value=lambda row: row["stack"] or "all"),
    Column(title="ROLE", value=lambda row: row["agent_type"] or "all"),
    Column(title="PER", value="per"),
    Column(title="USD", value=lambda row: _share(row["used_usd"], row["usd"], ".4f")),
    Column(title="TOKENS", value=lambda row: _share(row["used_tokens"], row["tokens"], "d")),
    Column(title="ID", value="id"),
)


def _share(used: Any, most: Any, form: str) -> str:
    number = Decimal if form != "d" else int
    return f"{number(used):{form}}" + ("" if most is None else f" of {number(most):{form}}")


@budget.command("ls", help="List the budgets and what counts against each now.")
@workdir_option
@json_option
def list_budgets(workdir: Path, as_json: bool) -> None:
    """Print every budget."""
    with connect(resolve(workdir)) as client:
        names = {row["id"]: row["participant_name"] for row in fetch_stacks(client)}
        rows = cast("list[Row]", client.table("budgets_now").select("*").order("per").order("id").execute().data)
    rows = [row | {"stack": names.get(row["stack_id"])} for row in rows]
    empty = (
        "no budget is set: nothing but your provider limits what is spent; set one with `stackbeat budget set --usd 5`"
    )
    print_rows(rows, BUDGET_COLUMNS, as_json=as_json, empty=empty)


_scope = (
    click.option("--stack", "reference", metavar="STACK", help="For one stack (default: all together)."),
    click.option("--role", help="For one role, like builder (default: all together)."),
    click.option(
        "--per", type=click.Choice(["day", "all time"]), default="day", show_default=True, help="Days are UTC."
    ),
)


def scope_options(command: Any) -> Any:
    """What a budget is for."""
    for option in reversed(_scope):
        command = option(command)
    return command


@budget.command("set", help="Set or change a budget; whoever waited for it goes on at once.")
@click.option("--usd", type=click.FloatRange(0), help="Dollars.")
@click.option("--tokens", type=click.IntRange(0), help="Tokens, in and out.")
@scope_options
@workdir_option
@json_option
def set_budget(
    *, usd: float | None, tokens: int | None, reference: str | None, role: str | None, per: str, workdir: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """One row, written or rewritten."""
    if usd is None and tokens is None:
        raise CliError("a budget needs --usd or --tokens, or both", ExitCode.USAGE)
    with connect(resolve(workdir)) as client:
        stack = None if reference is None else choose(fetch_stacks(client), reference)
        row = {"stack_id": stack and stack["id"], "agent_type": role, "per": per, "usd": usd, "tokens": tokens}
        query = client.table("budgets").upsert(cast("Any", row), on_conflict="stack_id,agent_type,per")
        made = cast("Row", query.execute().data[0])
    if as_json:
        print_json(made)
        return
    most = " and ".join(
        part for part in (usd is not None and f"{usd:g} USD", tokens is not None and f"{tokens} tokens") if part
    )
    print_line(f"{_who(stack, role)} may spend {most} {'a day' if per == 'day' else 'in all'} ({made['id']})")


@budget.command("lift", help="Take a budget away.")
@scope_options
@workdir_option
@json_option
def lift(*, reference: str | None, role: str | None, per: str, workdir: Path, as_json: bool) -> None:
    """One row, deleted."""
    with connect(resolve(workdir)) as client:
        stack = None if reference is None else choose(fetch_stacks(client), reference)
        query = client.table("budgets").delete().eq("per", per)
        query = query.is_("stack_id", "null") if stack is None else query.eq("stack_id", stack["id"])
        query = query.is_("agent_type", "null") if role is None else query.eq("agent_type", role)
        gone = cast("list[Row]", query.execute().data)
    if as_json:
        print_json(gone)
    elif gone:
        print_line(f"{_who(stack, role)} may spend what it likes again")
    else:
        raise CliError("there is no such budget; `stackbeat budget ls` lists them", ExitCode.REFUSED)


def _who(stack: Row | None, role: str | None) -> str:
    whose = "all stacks" if stack is None else str(stack["participant_name"])
    return whose if role is None else f"the {role} of {whose}"
