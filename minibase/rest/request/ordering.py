"""The `order` grammar: `a.desc.nullsfirst,b,data->>k.asc,rel(col).desc`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from minibase.rest.request.fields import read_field, read_path
from minibase.rest.request.scanner import Scanner
from minibase.rest.request.values import Field, OrderTerm

_DIRECTION: Final = re.compile(r"\.(asc|desc)(?=$|[,. ])")
_NULLS: Final = re.compile(r"\.nulls(first|last)(?=$|[, ])")


@lru_cache(maxsize=512)
def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """Read a whole `order` parameter. Raises RestError PGRST100 when it does not follow the grammar."""
    scanner = Scanner(text, "order")
    terms = [_read_term(scanner)]
    while scanner.accept(","):
        terms.append(_read_term(scanner))
    scanner.finish()
    return tuple(terms)


def _read_term(scanner: Scanner) -> OrderTerm:
    name, embed = scanner.name(), None
    if scanner.accept("("):
        embed, field = name, read_field(scanner)
        scanner.expect(")")
    else:
        field = Field(name=name, path=read_path(scanner))
    found = scanner.match(_DIRECTION)
    direction: Literal["asc", "desc"] | None = None
    if found:
        direction = "asc" if found.group(1) == "asc" else "desc"
    return OrderTerm(field=field, embed=embed, direction=direction, nulls=_read_nulls(scanner))


def _read_nulls(scanner: Scanner) -> Literal["first", "last"] | None:
    found = scanner.match(_NULLS)
    scanner.skip_spaces()
    if not found:
        return None
    return "first" if found.group(1) == "first" else "last"
