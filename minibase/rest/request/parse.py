"""From method, path, query string, headers and body to a `Request`; and from query pairs to a `Shape`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import unquote_plus

from minibase.rest.errors import RestError, refuse, unparsable
from minibase.rest.request.conditions import parse_filter, parse_group
from minibase.rest.request.fields import parse_field, parse_names, read_field
from minibase.rest.request.media import choose_media
from minibase.rest.request.ordering import parse_order
from minibase.rest.request.preferences import parse_preferences
from minibase.rest.request.scanner import Scanner
from minibase.rest.request.select import parse_select
from minibase.rest.request.values import (
    ConditionTree,
    EmbedPath,
    Field,
    OnFunction,
    OnRelation,
    OrderTerm,
    Request,
    Shape,
    Target,
    Verb,
    Window,
)

_VERBS: Final = {
    "GET": Verb.READ,
    "HEAD": Verb.READ,
    "POST": Verb.INSERT,
    "PATCH": Verb.UPDATE,
    "DELETE": Verb.DELETE,
    "PUT": Verb.REPLACE,
}
_SIMPLE_KEY: Final = re.compile(r"\w+")
_WHOLE: Final = re.compile(r"-?\d{1,18}")
_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})?")


def parse_request(
    *,
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    schemas: Sequence[str],
) -> Request:
    """Read one HTTP request. `path` is decoded and has lost the gateway's prefix; header names are lower case.

    `schemas` are the exposed ones, the first being the default.
    Raises RestError: PGRST125 and 126 (path), PGRST117/101 (method), PGRST106 (schema), PGRST107 (media type),
    PGRST122 (preferences), PGRST103 (range).
    """
    pairs = split_query(query)
    _refuse_nul(path, pairs)
    single = dict(headers)
    named = single.get("accept-profile" if method in ("GET", "HEAD") else "content-profile")
    return Request(
        target=_parse_target(method, path),
        method=method,
        schema=_choose_schema(named, schemas),
        profile_named=named is not None,
        pairs=pairs,
        preferences=parse_preferences(value for name, value in headers if name == "prefer"),
        media=choose_media(single.get("accept", "")),
        range=_parse_range(single.get("range")) if method in ("GET", "HEAD") else None,
        content_type=single.get("content-type", ""),
        body=body,
    )


def split_query(query: str) -> tuple[tuple[str, str], ...]:
    """Key and value of each parameter, decoded: `+` is a space, percent escapes are UTF-8."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return tuple((_decode(key), _decode(value)) for key, _, value in pairs)


def _decode(text: str) -> str:
    # Most parts need no decoding, and looking is cheaper than doing.
    return unquote_plus(text) if "%" in text or "+" in text else text


def _refuse_nul(path: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Postgres has no such character in text, and a C library would silently stop reading there."""
    if "\0" in path or any("\0" in key or "\0" in value for key, value in pairs):
        raise refuse(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')


def _parse_target(method: str, path: str) -> Target:
    match path.strip("/").split("/"):
        case [""]:
            raise refuse(404, "PGRST126", "Root endpoint metadata is disabled")
        case ["rpc", name] if name:
            if method not in ("GET", "HEAD", "POST"):
                raise refuse(405, "PGRST101", f"Cannot use the {method} method on RPC")
            return OnFunction(name=name, by_get=method != "POST")
        case [name] if name:
            if method not in _VERBS:
                raise refuse(405, "PGRST117", f"Unsupported HTTP method: {method}")
            return OnRelation(verb=_VERBS[method], name=name)
        case _:
            raise refuse(404, "PGRST125", "Invalid path specified in request URL")


def _choose_schema(named: str | None, schemas: Sequence[str]) -> str:
    if named is None:
        return schemas[0]
    if named in schemas:
        return named
    raise refuse(
        406,
        "PGRST106",
        f"Invalid schema: {named}",
        hint=f"Only the following schemas are exposed: {', '.join(schemas)}",
    )


def _parse_range(header: str | None) -> Window | None:
    found = _RANGE.fullmatch(header.removeprefix("items=").strip()) if header else None
    if not found:
        return None
    first, last = int(found.group(1)), found.group(2)
    if last is None:
        return Window(offset=first)
    if int(last) < first:
        raise _bad_range("The lower boundary must be lower than or equal to the upper boundary in the Range header.")
    return Window(offset=first, limit=int(last) - first + 1)


def parse_shape(pairs: Iterable[tuple[str, str]]) -> Shape:
    """Sort the pairs of a query string into select, filters, orders and windows.

    Raises RestError PGRST100 for anything that does not follow the grammar, PGRST103 for a negative limit.
    """
    select = "*"
    conditions: list[tuple[EmbedPath, ConditionTree]] = []
    orders: dict[EmbedPath, tuple[OrderTerm, ...]] = {}
    limits: dict[EmbedPath, int] = {}
    offsets: dict[EmbedPath, int] = {}
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    for key, value in pairs:
        path, word = _split_key(key)
        match word:
            case "select" if not path:
                select = value
            case "columns" if not path:
                columns = parse_names(value, "columns parameter")
            case "on_conflict" if not path:
                on_conflict = parse_names(value, "on_conflict parameter")
            case "order":
                orders[path] = parse_order(value)
            case "limit":
                limits[path] = _parse_limit(value)
            case "offset":
                offsets[path] = _parse_offset(value)
            case _:
                conditions.append(_parse_condition(path, word, value))
    return Shape(
        select=parse_select(select),
        conditions=tuple(conditions),
        orders=orders,
        windows=_join_windows(limits, offsets),
        columns=columns,
        on_conflict=on_conflict,
    )


def _split_key(key: str) -> tuple[EmbedPath, str]:
    """`a.b.col->x` is a path and the rest; the last name (with `not.and`, `not.or` as one) stays whole."""
    if _SIMPLE_KEY.fullmatch(key):
        return (), key
    scanner = Scanner(key, "query parameter")
    path: list[str] = []
    start = scanner.position
    read_field(scanner)
    while scanner.accept("."):
        path.append(key[start : scanner.position - 1])
        start = scanner.position
        read_field(scanner)
    scanner.finish()
    last = key[start:]
    if last in ("and", "or") and path and path[-1] == "not":
        path.pop()
        last = f"not.{last}"
    return tuple(_plain_name(step) for step in path), last


def _plain_name(step: str) -> str:
    return Scanner(step, "query parameter").name()


def _parse_condition(path: EmbedPath, word: str, value: str) -> tuple[EmbedPath, ConditionTree]:
    joiner: Literal["and", "or"]
    match word:
        case "and" | "not.and":
            joiner = "and"
        case "or" | "not.or":
            joiner = "or"
        case _:
            field = Field(name=word) if _SIMPLE_KEY.fullmatch(word) else parse_field(word)
            return path, parse_filter(field, value)
    return path, parse_group(joiner, value, negated=word.startswith("not."))


def _parse_limit(value: str) -> int:
    if not _WHOLE.fullmatch(value):
        raise unparsable("limit parameter", value, 0, "expecting a whole number")
    if int(value) < 0:
        raise _bad_range("Limit should be greater than or equal to zero.")
    return int(value)


def _parse_offset(value: str) -> int:
    if not _WHOLE.fullmatch(value):
        raise unparsable("offset parameter", value, 0, "expecting a whole number")
    return max(int(value), 0)


def _bad_range(details: str) -> RestError:
    return refuse(416, "PGRST103", "Requested range not satisfiable", details)


def _join_windows(limits: Mapping[EmbedPath, int], offsets: Mapping[EmbedPath, int]) -> dict[EmbedPath, Window]:
    paths = limits.keys() | offsets.keys()
    return {path: Window(offset=offsets.get(path, 0), limit=limits.get(path)) for path in paths}
