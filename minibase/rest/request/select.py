"""The `select` grammar: `*`, `alias:col->path::cast`, `alias:rel!hint!inner(items)`, `...rel(items)`."""

from __future__ import annotations

import re
from functools import lru_cache

from minibase.rest.request.fields import read_path
from minibase.rest.request.scanner import Scanner
from minibase.rest.request.values import Field, SelectEmbed, SelectField, SelectItem

_CAST = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ .][A-Za-z_][A-Za-z0-9_]*)*(?:\[\])*")
_AGGREGATE = re.compile(r"\.(sum|avg|min|max|count)\(\)")
_ALIAS_COLON = re.compile(r":(?!:)")
# Deeper nesting has no use and would only exhaust the stack.
MAX_DEPTH = 24


@lru_cache(maxsize=512)
def parse_select(text: str) -> tuple[SelectItem, ...]:
    """Read a whole `select` parameter.

    Raises RestError PGRST100 when it does not follow the grammar.
    """
    scanner = Scanner(text, "select parameter")
    items = _read_items(scanner, depth=0)
    scanner.finish()
    return items


def _read_items(scanner: Scanner, *, depth: int) -> tuple[SelectItem, ...]:
    if depth > MAX_DEPTH:
        raise scanner.error(f"expecting at most {MAX_DEPTH} levels of embedding")
    scanner.skip_spaces()
    if scanner.at_end or scanner.peek(")"):
        return ()
    items = [_read_item(scanner, depth=depth)]
    while scanner.accept(","):
        items.append(_read_item(scanner, depth=depth))
    return tuple(items)


def _read_item(scanner: Scanner, *, depth: int) -> SelectItem:
    scanner.skip_spaces()
    if scanner.accept("..."):
        return _read_embed(scanner, scanner.name(), alias=None, spread=True, depth=depth)
    if scanner.accept("*"):
        scanner.skip_spaces()
        return SelectField(field=Field(name="*"))
    if scanner.accept("count()"):
        return SelectField(field=Field(name="*"), aggregate="count", cast=_read_cast(scanner))
    name, alias = scanner.name(), None
    if scanner.match(_ALIAS_COLON):
        alias = name
        if scanner.accept("count()"):
            return SelectField(field=Field(name="*"), alias=alias, aggregate="count", cast=_read_cast(scanner))
        name = scanner.name()
    if scanner.peek("!") or scanner.peek("("):
        return _read_embed(scanner, name, alias=alias, spread=False, depth=depth)
    return _read_column(scanner, name, alias)


def _read_column(scanner: Scanner, name: str, alias: str | None) -> SelectField:
    field = Field(name=name, path=read_path(scanner))
    cast = _read_cast(scanner)
    aggregate = scanner.match(_AGGREGATE)
    if aggregate:
        cast = _read_cast(scanner) or cast
    scanner.skip_spaces()
    return SelectField(field=field, alias=alias, cast=cast, aggregate=aggregate.group(1) if aggregate else None)


def _read_cast(scanner: Scanner) -> str | None:
    if not scanner.accept("::"):
        return None
    found = scanner.match(_CAST)
    if not found:
        raise scanner.error("expecting the name of a type")
    return found.group()


def _read_embed(scanner: Scanner, name: str, *, alias: str | None, spread: bool, depth: int) -> SelectEmbed:
    hint, inner = None, False
    while scanner.accept("!"):
        word = scanner.name()
        if word == "inner":
            inner = True
        elif word != "left":
            hint = word
    scanner.expect("(")
    items = _read_items(scanner, depth=depth + 1)
    scanner.expect(")")
    scanner.skip_spaces()
    return SelectEmbed(name=name, items=items, alias=alias, hint=hint, inner=inner, spread=spread)
