"""What the catalogue says of a published table and of a role's rights on it, and how a binding fits them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from minibase.realtime.bindings import Binding
from minibase.realtime.filters import Filter, Operator


class Rows(StrEnum):
    """Which rows of a table a role may see."""

    ALL = "all"
    NONE = "none"
    ASK = "ask"  # policies decide row by row


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    name: str
    type_name: str
    sql_type: str
    is_enum: bool
    plain_collation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    oid: int
    schema: str
    name: str
    key: tuple[str, ...]
    row_security: bool
    columns: Mapping[str, TableColumn]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One role's rights on one table."""

    selectable: frozenset[str]
    rows: Rows
    time_limit: str

    def reads_key(self, table: Table) -> bool:
        return self.selectable.issuperset(table.key)


LONGEST_MS = 10_000
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 36e5, "d": 864e5}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*")

NO_ACCESS = Access(selectable=frozenset(), rows=Rows.NONE, time_limit="8s")


def bounded_time_limit(written: str) -> str:
    """A role's statement_timeout as it was written, but never none and never longer than anybody can wait for."""
    found = _DURATION.fullmatch(written)
    milliseconds = float(found[1]) * _MILLISECONDS[found[2] or "ms"] if found else 0.0
    return f"{int(min(milliseconds, LONGEST_MS)) or LONGEST_MS}ms"


class MisfitError(ValueError):
    """A binding that cannot be served on a table it covers; the text is for the subscriber."""


def check_fit(binding: Binding, table: Table, access: Access) -> None:
    """MisfitError if the binding names a column that is not there or not readable, or an operator that cannot apply."""
    for name in sorted(binding.select or ()):
        _require_column(name, table, access)
    for condition in binding.filters:
        _require_column(condition.column, table, access)
        _require_operator(condition, table.columns[condition.column])


def _require_column(name: str, table: Table, access: Access) -> None:
    if name not in table.columns:
        raise MisfitError(f"column {name!r} does not exist in {table.schema}.{table.name}")
    if name not in access.selectable:
        raise MisfitError(f"column {name!r} of {table.schema}.{table.name} may not be selected by this role")


def _require_operator(condition: Filter, column: TableColumn) -> None:
    if condition.operator is Operator.IS and condition.values != ("null",) and column.type_name != "bool":
        raise MisfitError(f"`is.{condition.values[0]}` needs a boolean column; {column.name!r} is {column.sql_type}")
