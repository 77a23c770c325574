"""The SQL that realtime generates: row visibility, filters, casts. Identifiers are quoted here and nowhere else."""

from __future__ import annotations

from minibase.realtime.filters import PATTERN_OPERATORS, SQL_OPERATORS, Operator
from minibase.realtime.matching import Condition
from minibase.realtime.tables import Table


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows_visible(table: Table) -> str:
    """Takes one text array per key column; returns, in order, whether a row with each key is visible."""
    names = [f"k{number}" for number in range(len(table.key))]
    arrays = ", ".join(f"${number}::text[]" for number in range(1, len(names) + 1))
    same = " and ".join(
        f"t.{quote_identifier(column)} = asked.{name}::{table.columns[column].sql_type}"
        for column, name in zip(table.key, names, strict=True)
    )
    row = f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    return (
        f"select array_agg(exists (select from {row} as t where {same}) order by asked.position) "
        f"from unnest({arrays}) with ordinality as asked ({', '.join(names)}, position)"
    )


def row_as_text(table: Table) -> str:
    """Takes the key's values as texts; returns that row's columns as texts, no row if there is none."""
    columns = ", ".join(f"{quote_identifier(name)}::text" for name in table.columns)
    same = " and ".join(
        f"{quote_identifier(column)} = ${number}::text::{table.columns[column].sql_type}"
        for number, column in enumerate(table.key, 1)
    )
    return f"select {columns} from {quote_identifier(table.schema)}.{quote_identifier(table.name)} where {same}"


def canonical(sql_type: str) -> str:
    """Takes a text array; returns each element cast to the type and printed again. Fails where one cannot be cast."""
    return (
        f"select array_agg(given.value::{sql_type}::text order by given.position) "
        "from unnest($1::text[]) with ordinality as given (value, position)"
    )


def conditions_met(condition: Condition) -> str:
    """Takes the values as a text array and the operands as another; returns whether each value meets the condition.

    Both sides are of the column's type (a pattern is text), and a comparison that gives NULL is no match.
    """
    operator = condition.filter.operator
    value = f"given.value::{condition.sql_type}"
    operand = "$2::text[]" if operator in PATTERN_OPERATORS else f"$2::text[]::{condition.sql_type}[]"
    if operator is Operator.IN:
        test = f"{value} = any ({operand})"
    elif operator is Operator.ISDISTINCT:
        test = f"{value} is distinct from ({operand})[1]"
    else:
        test = f"{value} {SQL_OPERATORS[operator]} ({operand})[1]"
    test = f"not ({test})" if condition.filter.negated else test
    return (
        f"select array_agg(coalesce({test}, false) order by given.position) "
        "from unnest($1::text[]) with ordinality as given (value, position)"
    )
