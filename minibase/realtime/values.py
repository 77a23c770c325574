"""Column values: Postgres' text output to the JSON that `to_jsonb` would give, one formatter per type.

The text comes from a session with TimeZone UTC, DateStyle ISO and bytea_output hex (see `reader`). Numbers keep every
digit of their text; NaN and the infinities, which JSON has no word for, become null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring

Formatter = Callable[[str], str]

NUMBERS = frozenset({"int2", "int4", "int8", "oid", "float4", "float8", "numeric"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFacts:
    """One row of the catalogue. `element`, `base` are other types' oids, 0 for none."""

    oid: int
    name: str
    element: int = 0
    base: int = 0
    delimiter: str = ","
    is_composite: bool = False
    fields: tuple[tuple[str, int], ...] = ()


def quote(text: str) -> str:
    """The text as a JSON string, Unicode as it is."""
    return encode_basestring(text)


def formatter(oid: int, types: Mapping[int, TypeFacts]) -> Formatter:
    """The formatter of a type; a type the catalogue no longer knows is shown as its text."""
    facts = types.get(oid)
    if facts is None:
        return quote
    if facts.base:
        return formatter(facts.base, types)
    if facts.element:
        return partial(_array, formatter(facts.element, types), facts.delimiter)
    if facts.is_composite:
        return partial(_composite, tuple((quote(name), formatter(field, types)) for name, field in facts.fields))
    return _number if facts.name in NUMBERS else _BY_NAME.get(facts.name, quote)


def _number(text: str) -> str:
    return "null" if text[-1] in "Nny" else text  # NaN, Infinity, -Infinity


def _bool(text: str) -> str:
    return "true" if text == "t" else "false"


def _timestamp(text: str) -> str:
    return f'"{text.replace(" ", "T", 1)}"' if text[0].isdigit() else f'"{text}"'


def _timestamptz(text: str) -> str:
    # The session's zone is UTC, so the offset is always +00; an era may follow it.
    return _timestamp(
        text.replace("+00", "+00:00", 1) if " BC" in text else text + ":00" if text[-3:] == "+00" else text
    )


def _bytea(text: str) -> str:
    return f'"{text.removeprefix(chr(92) + "x")}"'


def _as_it_is(text: str) -> str:
    return text


_BY_NAME: Mapping[str, Formatter] = {
    "bool": _bool,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "json": _as_it_is,
    "jsonb": _as_it_is,
    "bytea": _bytea,
}


def _array(element: Formatter, delimiter: str, text: str) -> str:
    """An array's text, `{1,NULL,"a b"}`, perhaps nested, perhaps with its bounds in front, `[0:1]={...}`."""
    start = text.index("{")
    out: list[str] = []
    for token, quoted in _tokens(text[start:], delimiter):
        if not quoted and token in ("{", "}", delimiter):
            out.append({"{": "[", "}": "]"}.get(token, ","))
        elif not quoted and token == "NULL":
            out.append("null")
        else:
            out.append(element(token))
    return "".join(out)


def _tokens(text: str, delimiter: str) -> Iterator[tuple[str, bool]]:
    """Braces, delimiters and values, and whether the value stood in quotes."""
    marks = "{}" + delimiter
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            value, position = _quoted(text, position + 1)
            yield value, True
        elif character in marks:
            yield character, False
            position += 1
        else:
            start = position
            while position < len(text) and text[position] not in marks:
                position += 1
            yield text[start:position], False


def _quoted(text: str, position: int) -> tuple[str, int]:
    """A quoted value from behind its opening quote, and where the text goes on; `""` inside means one quote."""
    out: list[str] = []
    while position < len(text):
        character = text[position]
        if character == "\\":
            out.append(text[position + 1])
            position += 2
        elif character != '"':
            out.append(character)
            position += 1
        elif text[position + 1 : position + 2] == '"':
            out.append('"')
            position += 2
        else:
            break
    return "".join(out), position + 1


def _composite(fields: tuple[tuple[str, Formatter], ...], text: str) -> str:
    """A row's text, `(1,"a b",)`: an empty field is NULL, a quoted one a value."""
    values = list(_fields(text[1:-1]))
    pairs = (
        f"{name}:{'null' if value is None else render(value)}"
        for (name, render), value in zip(fields, values, strict=False)
    )
    return "{" + ",".join(pairs) + "}"


def _fields(text: str) -> Iterator[str | None]:
    """Values between commas; quotes may begin and end anywhere inside one."""
    position, current, seen = 0, "", False
    while position < len(text):
        character = text[position]
        if character == ",":
            yield current if seen else None
            current, seen = "", False
            position += 1
        elif character == '"':
            part, position = _quoted(text, position + 1)
            current, seen = current + part, True
        else:
            current, seen = current + character, True
            position += 1
    yield current if seen else None
