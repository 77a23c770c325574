"""The filter of a postgres_changes binding: `column=op.value`, several joined by commas.

Parsing and the decisions that need no database are here. Values are compared in Postgres' canonical text of the
column's type; whatever that cannot decide (`needs_postgres`) is left to a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import ge, gt, le, lt

MAX_IN_VALUES = 100


class FilterError(ValueError):
    """A filter that cannot be understood; the text says which part and why."""


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    LIKE = "like"
    ILIKE = "ilike"
    MATCH = "match"
    IMATCH = "imatch"
    IS = "is"
    ISDISTINCT = "isdistinct"


SQL_OPERATORS = {
    Operator.EQ: "=",
    Operator.NEQ: "<>",
    Operator.LT: "<",
    Operator.LTE: "<=",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.IN: "=",
    Operator.LIKE: "~~",
    Operator.ILIKE: "~~*",
    Operator.MATCH: "~",
    Operator.IMATCH: "~*",
}
# The right side of these is a pattern: text, whatever the column's type.
PATTERN_OPERATORS = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})
ORDER_OPERATORS = frozenset({Operator.LT, Operator.LTE, Operator.GT, Operator.GTE})
_INTEGER_ORDER: Mapping[Operator, Callable[[int, int], bool]] = {
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.GT: gt,
    Operator.GTE: ge,
}
IS_KEYWORDS = frozenset({"null", "true", "false", "unknown"})

# Types (catalogue names) of which equal values, and only those, have equal canonical text.
INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
TEXTUAL_EQUALITY = INTEGERS | {
    *("bool", "text", "varchar", "uuid", "bytea", "name"),
    *("date", "time", "timestamp", "timestamptz"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One condition. `values` holds one value, for `in` any number, NULL elements of an array body as None."""

    column: str
    operator: Operator
    values: tuple[str | None, ...]
    negated: bool = False


def parse(text: str) -> tuple[Filter, ...]:
    """The conditions of a filter string, all of which must hold. FilterError says what is wrong; blank means none."""
    if not text.strip():
        return ()
    return tuple(_parse_condition(part) for part in _split_top_level(text))


def _parse_condition(text: str) -> Filter:
    column, separator, rest = text.strip().partition("=")
    if not separator or not column:
        raise FilterError(f"{text.strip()!r} is not of the form column=operator.value")
    operator_name, dot, value = rest.partition(".")
    negated = operator_name == "not" and bool(dot)
    if negated:
        operator_name, dot, value = value.partition(".")
    if not dot:
        raise FilterError(f"{text.strip()!r} has no operator followed by a dot and a value")
    try:
        operator = Operator(operator_name)
    except ValueError:
        known = ", ".join(Operator)
        raise FilterError(f"operator {operator_name!r} of {text.strip()!r} is none of {known}") from None
    return Filter(column=column.strip(), operator=operator, values=_values(operator, value), negated=negated)


def _values(operator: Operator, text: str) -> tuple[str | None, ...]:
    if operator is Operator.IN:
        return _parse_list(text)
    value = _unquote(text)
    if operator is Operator.IS:
        keyword = value.lower()
        if keyword not in IS_KEYWORDS:
            raise FilterError(f"`is` takes null, true, false or unknown, not {value!r}")
        return (keyword,)
    return (value,)


def _parse_list(text: str) -> tuple[str | None, ...]:
    text = text.strip()
    if len(text) < 2 or text[0] not in "({" or text[-1] not in ")}":
        raise FilterError(f"`in` takes a list in parentheses, not {text!r}")
    body = text[1:-1]
    parts = [part.strip() for part in _split_top_level(body)] if body.strip() else []
    if len(parts) > MAX_IN_VALUES:
        raise FilterError(f"`in` takes at most {MAX_IN_VALUES} values, not {len(parts)}")
    return tuple(None if part.upper() == "NULL" else _unquote(part) for part in parts)


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    characters = iter(text[1:-1])
    return "".join(next(characters, "\\") if character == "\\" else character for character in characters)


def _split_top_level(text: str) -> Iterator[str]:
    """The parts between commas that stand outside quotes and parentheses."""
    start, depth, quoted, escaped = 0, 0, False, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character in "({":
            depth += 1
        elif character in ")}":
            depth = max(0, depth - 1)
        elif character == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def needs_postgres(condition: Filter, type_name: str, *, is_enum: bool, plain_collation: bool) -> bool:
    """Whether only Postgres can decide this condition on a column of this type."""
    if condition.operator is Operator.IS:
        return False
    if condition.operator in ORDER_OPERATORS:
        return type_name not in INTEGERS
    if condition.operator in PATTERN_OPERATORS:
        return True
    return not plain_collation or not (type_name in TEXTUAL_EQUALITY or is_enum)


def matches(condition: Filter, value: str | None, operands: Sequence[str | None]) -> bool:
    """Whether a column's text meets a condition that does not need Postgres; `operands` are its canonical values.

    A comparison with NULL is neither true nor false, so it does not match, negated or not.
    """
    verdict = _verdict(condition.operator, value, operands)
    return verdict is not None and verdict != condition.negated


def _verdict(operator: Operator, value: str | None, operands: Sequence[str | None]) -> bool | None:
    operand = operands[0] if operands else None
    if operator is Operator.IS:
        return _is(value, operand)
    if operator is Operator.ISDISTINCT:
        return value != operand
    if value is None:
        return None
    if operator is Operator.IN:
        return _in(value, operands)
    if operator in _INTEGER_ORDER:
        return _INTEGER_ORDER[operator](int(value), int(operand or 0))
    return (value == operand) is (operator is Operator.EQ)


def _in(value: str, operands: Sequence[str | None]) -> bool | None:
    if value in operands:
        return True
    return None if None in operands else False


def _is(value: str | None, keyword: str | None) -> bool:
    match keyword:
        case "true":
            return value == "t"
        case "false":
            return value == "f"
        case _:
            return value is None
