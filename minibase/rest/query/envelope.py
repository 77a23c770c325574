"""The outer SELECT every statement ends with: counts, the body as text, and what the database wants said."""

from __future__ import annotations

from minibase.rest.plan.values import Answer, Read
from minibase.rest.query.read import spell_unlimited
from minibase.rest.query.statement import Parameters
from minibase.rest.request.values import CountMode, MediaKind, ReturnMode

_SETTINGS = (
    "nullif(current_setting('response.headers', true), ''), nullif(current_setting('response.status', true), '')"
)
NO_NOTE = "NULL"
# A row as Postgres writes composite values is a line of CSV in parentheses; its keys come from its JSON.
_CSV_PARTS = (
    "SELECT count(*) AS page, coalesce(json_agg(r)->0, '{}') AS top,"
    " coalesce(string_agg(substring(r::text, 2, length(r::text) - 2), E'\\n'), '') AS lines"
)
_CSV = "(SELECT coalesce(string_agg(k, ','), '') FROM json_object_keys(s.top) k) || E'\\n' || s.lines"


def spell_envelope(rows: str, answer: Answer, *, total: str, single: bool = False, note: str = NO_NOTE) -> str:
    """Wrap `rows`. With `single`, the body is the one row itself, as for functions that give one."""
    if answer.head or answer.returns is not ReturnMode.REPRESENTATION:
        return f"SELECT {total}, count(*), NULL, {_SETTINGS}, {note} FROM ({rows}) r"
    if answer.media.kind is MediaKind.CSV:
        return f"SELECT {total}, s.page, {_CSV}, {_SETTINGS}, {note} FROM ({_CSV_PARTS} FROM ({rows}) r) s"
    return f"SELECT {total}, count(*), {_spell_json(answer, single=single)}, {_SETTINGS}, {note} FROM ({rows}) r"


def _spell_json(answer: Answer, *, single: bool) -> str:
    array = "json_agg(r)"
    if answer.media.strip_nulls:
        array = f"json_strip_nulls({array})"
    if single or answer.media.kind is MediaKind.OBJECT:
        return f"coalesce(({array}->0)::text, 'null')"
    return f"coalesce({array}::text, '[]')"


def spell_scalar_envelope(rows: str, answer: Answer, *, set_of_values: bool) -> str:
    """Wrap rows of one column `v`: a bare value, or an array of them."""
    if answer.head or answer.returns is not ReturnMode.REPRESENTATION:
        body = "NULL"
    elif set_of_values:
        body = "coalesce(json_agg(r.v)::text, '[]')"
    elif answer.media.kind in (MediaKind.TEXT, MediaKind.OCTETS, MediaKind.CSV):
        body = "string_agg(r.v::text, '')"
    else:
        # One value, so there is nothing to gather: json_agg and -> would write and parse a big body once more.
        body = "coalesce(string_agg(to_json(r.v)::text, ''), 'null')"
    total = "count(*)" if answer.count else "NULL"
    return f"SELECT {total}, count(*), {body}, {_SETTINGS}, {NO_NOTE} FROM ({rows}) r"


def spell_total(read: Read, answer: Answer, max_rows: int | None, parameters: Parameters) -> str:
    """The number of rows without the window; an estimated count looks no further than just above the server's cap."""
    if answer.count is None or answer.count is CountMode.PLANNED:
        return "NULL"
    bound = f" LIMIT {max_rows + 1}" if answer.count is CountMode.ESTIMATED and max_rows is not None else ""
    return f"(SELECT count(*) FROM ({spell_unlimited(read, parameters)}{bound}) c)"
