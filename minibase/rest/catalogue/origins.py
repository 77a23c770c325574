"""Which base columns a view's columns come from, read from the view's stored parse tree.

Postgres keeps, for each entry of a query's target list, the table and column it was taken from (`resorigtbl`,
`resorigcol`), also through sub-selects and CTEs. Only the outermost target list describes the view's own columns, and
that is told by counting braces: the outer QUERY is at depth one, its TARGETENTRY nodes at depth two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

Origin: TypeAlias = tuple[int, int]
"""A relation's number and a column's number in it."""

_TOKEN: Final = re.compile(r"\\.|[{}]|:(resno|resorigtbl|resorigcol) (\d+)", re.DOTALL)
_ENTRY_DEPTH: Final = 2


def read_origins(tree: str) -> dict[int, Origin]:
    """Origins of a view's columns by column number; computed columns have none."""
    depth = 0
    number = table = 0
    origins: dict[int, Origin] = {}
    for token in _TOKEN.finditer(tree):
        text = token.group()
        if text == "{":
            depth += 1
        elif text == "}":
            depth -= 1
        elif depth == _ENTRY_DEPTH and token.group(1):
            value = int(token.group(2))
            match token.group(1):
                case "resno":
                    number = value
                case "resorigtbl":
                    table = value
                case _ if table and value:
                    origins[number] = (table, value)
    return origins


def settle_origins(views: Mapping[int, Mapping[int, Origin]]) -> dict[int, dict[int, Origin]]:
    """Follow views over views down to base columns."""
    return {view: {number: _follow(views, origin) for number, origin in own.items()} for view, own in views.items()}


def _follow(views: Mapping[int, Mapping[int, Origin]], origin: Origin) -> Origin:
    # Views cannot be circular, but the limit costs nothing and a corrupt catalogue must not hang us.
    for _ in range(64):
        below = views.get(origin[0], {}).get(origin[1])
        if below is None:
            return origin
        origin = below
    return origin
