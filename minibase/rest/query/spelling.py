"""The only place where names become SQL text."""

from __future__ import annotations

from minibase.rest.catalogue.values import Name


def identifier(name: str) -> str:
    """A quoted identifier. Names with NUL never get here: requests holding one are refused when they are parsed."""
    return '"' + name.replace('"', '""') + '"'


def qualified(name: Name) -> str:
    return f"{identifier(name.schema)}.{identifier(name.local)}"


def member(alias: str, column: str) -> str:
    """A column of an alias; all of them for `*`."""
    return f"{alias}.*" if column == "*" else f"{alias}.{identifier(column)}"


def literal(text: str) -> str:
    """A JSON key as a constant.

    Keys are names, not values: as constants they can match an index on the same expression. Backslashes need the
    E form, whatever standard_conforming_strings says.
    """
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"
