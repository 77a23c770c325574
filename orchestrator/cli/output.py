"""How results are printed: one JSON value for programs, tables and sentences for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.facts import Observer
from orchestrator.observers import log_lines
from orchestrator.terminal import printable

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value on stdout and nothing else."
)

_STATE_STYLES = {"running": "green", "paused": "yellow", "stopped": "red", "idle": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its title and the row's key or a function of the row."""

    title: str
    value: str | Callable[[Mapping[str, Any]], Any]

    def text(self, row: Mapping[str, Any]) -> str:
        """The cell's text; nothing for None."""
        found = row.get(self.value) if isinstance(self.value, str) else self.value(row)
        return "" if found is None else str(found)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """A table on a terminal; tab-separated lines with a heading in a pipe, for cut and awk."""
    if not sys.stdout.isatty():
        click.echo("\t".join(column.title for column in columns))
        for row in rows:
            click.echo("\t".join(_one_line(column.text(row)) for column in columns))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.title, overflow="fold")
    for row in rows:
        cells = [printable(column.text(row)) for column in columns]
        table.add_row(*(Text(cell, style=_STATE_STYLES.get(cell, "")) for cell in cells))
    Console().print(table)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, as_json: bool, empty: str) -> None:
    """Rows as a JSON array, a table, or the sentence `empty` where there are none."""
    if as_json:
        print_json(list(rows))
    elif rows:
        print_table(rows, columns)
    else:
        click.echo(empty)


def progress(stream: TextIO) -> Observer:
    """An observer that prints the facts people want to see, in colour only where they would see colour."""
    return log_lines(stream, colour=stream.isatty() and "NO_COLOR" not in os.environ)


def print_line(text: str, *, err: bool = False) -> None:
    """A sentence for people, whatever names are in it."""
    click.echo(printable(text), err=err)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
