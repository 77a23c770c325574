"""Fields and JSON paths: `meta->home->>city`, `arr->0`."""

from __future__ import annotations

import re

from minibase.rest.request.scanner import Scanner
from minibase.rest.request.values import Field, JsonStep

_INDEX = re.compile(r"-?\d{1,9}(?=$|->|[,.:) ])")
# A key runs to the next arrow or delimiter; anything else may stand in it.
_KEY = re.compile(r"(?:(?!->)[^,.:()\"])+")


def read_field(scanner: Scanner) -> Field:
    """A column name with the JSON path behind it."""
    return Field(name=scanner.name(), path=read_path(scanner))


def read_path(scanner: Scanner) -> tuple[JsonStep, ...]:
    """The arrows after a column name; empty when there are none."""
    steps: list[JsonStep] = []
    while scanner.accept("->"):
        as_text = scanner.accept(">")
        steps.append(JsonStep(as_text=as_text, key=_read_key(scanner)))
    return tuple(steps)


def _read_key(scanner: Scanner) -> str | int:
    quoted = scanner.quoted()
    if quoted is not None:
        return quoted
    index = scanner.match(_INDEX)
    if index:
        return int(index.group())
    key = scanner.match(_KEY)
    if not key:
        raise scanner.error("expecting a JSON key or an array index")
    return key.group().strip()


def parse_field(text: str) -> Field:
    """A whole string that is one field."""
    scanner = Scanner(text, "filter")
    found = read_field(scanner)
    scanner.finish()
    return found


def parse_names(text: str, what: str) -> tuple[str, ...]:
    """A comma-separated list of names, as in `columns=a,"b c"`."""
    scanner = Scanner(text, what)
    names = [scanner.name()]
    while scanner.accept(","):
        names.append(scanner.name())
    scanner.finish()
    return tuple(dict.fromkeys(names))
