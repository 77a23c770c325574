"""What a channel asked to hear of: the `postgres_changes` entries of a join, parsed once.

Source: the join payloads of realtime-py 2.34 and realtime-js 2.119. The reply must echo each entry unchanged, in
order, with an id; both clients compare position by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import orjson

from minibase.realtime import filters
from minibase.realtime.filters import Filter, FilterError

ANY = "*"


class Change(StrEnum):
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class BindingError(ValueError):
    """A binding nobody could serve; the text is for the subscriber."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One subscription. None stands for any: any schema, any table of it, any kind of change, every column."""

    id: int
    schema: str | None
    table: str | None
    change: Change | None
    filters: tuple[Filter, ...] = ()
    select: frozenset[str] | None = None

    def covers(self, schema: str, table: str) -> bool:
        return self.schema in (None, schema) and self.table in (None, table)


def identify(entry: Any) -> int:
    """The id of an entry: a positive integer below 2**53, equal for equal entries on every socket.

    Equal ids let one encoded frame serve every channel of the same topic and bindings.
    """
    text = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(text, digest_size=6).digest(), "big") + 1


def echo(entry: Any) -> dict[str, Any]:
    """The entry as the join reply must repeat it."""
    fields = entry if isinstance(entry, dict) else {}
    return {**fields, "id": identify(entry)}


def parse(entry: Any) -> Binding:
    """The subscription an entry describes; BindingError says in words why there is none."""
    if not isinstance(entry, dict):
        raise BindingError(f"a postgres_changes entry must be an object, not {_show(entry)}")
    schema, table = _name(entry, "schema"), _name(entry, "table")
    if schema is None and table is None:
        raise BindingError(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
            + _show(entry)
        )
    schema = schema or "public"
    return Binding(
        id=identify(entry),
        schema=None if schema == ANY else schema,
        table=None if table in (None, ANY) or schema == ANY else table,
        change=_change(entry.get("event")),
        filters=_filters(entry),
        select=_select(entry, schema, table),
    )


def _name(entry: dict[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is None or isinstance(value, str):
        return value or None
    raise BindingError(f"`{key}` must be a string, not {_show(value)}")


def _change(value: Any) -> Change | None:
    try:
        return Change(value.upper()) if isinstance(value, str) else None
    except ValueError:
        return None


def _filters(entry: dict[str, Any]) -> tuple[Filter, ...]:
    value = entry.get("filter")
    if value is None:
        return ()
    if not isinstance(value, str):
        raise BindingError(f"Error parsing `filter` params: {_show(value)} is not a string")
    try:
        return filters.parse(value)
    except FilterError as error:
        raise BindingError(f"Error parsing `filter` params: {error}") from error


def _select(entry: dict[str, Any], schema: str, table: str | None) -> frozenset[str] | None:
    value = entry.get("select")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BindingError(f"`select` must be a list of column names, not {_show(value)}")
    if schema == ANY or table in (None, ANY) or entry.get("schema") is None:
        raise BindingError("`select` needs an explicit schema and table")
    return frozenset(value)


def _show(value: Any) -> str:
    return orjson.dumps(value).decode()[:200]
