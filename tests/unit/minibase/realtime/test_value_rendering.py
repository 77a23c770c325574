"""Column text to JSON, type by type, and the rest of a change's payload."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.realtime.values import TypeFacts, formatter

SIMPLE = (
    *("int8", "numeric", "float8", "bool", "text", "timestamp", "timestamptz"),
    *("json", "jsonb", "bytea", "uuid", "date", "box"),
)
FACTS = [
    *(TypeFacts(oid=oid, name=name) for oid, name in enumerate(SIMPLE, start=1)),
    TypeFacts(oid=101, name="_int8", element=1),
    TypeFacts(oid=105, name="_text", element=5),
    TypeFacts(oid=107, name="_timestamptz", element=7),
    TypeFacts(oid=113, name="_box", element=13, delimiter=";"),
    TypeFacts(oid=201, name="pair", is_composite=True, fields=(("a", 1), ("b", 5))),
    TypeFacts(oid=301, name="_pair", element=201),
    TypeFacts(oid=401, name="short", base=5),
]
TYPES = {facts.oid: facts for facts in FACTS}
OIDS = {facts.name: facts.oid for facts in FACTS}


@pytest.mark.parametrize(
    ("type_name", "text", "expected"),
    [
        ("int8", "9223372036854775807", "9223372036854775807"),
        ("numeric", "1.50", "1.50"),
        ("numeric", "NaN", "null"),
        ("float8", "1e-07", "1e-07"),
        ("float8", "-Infinity", "null"),
        ("bool", "t", "true"),
        ("bool", "f", "false"),
        ("text", 'a"b\\\n\x01é😀', '"a\\"b\\\\\\n\\u0001é😀"'),
        ("timestamp", "2026-01-02 03:04:05.678", '"2026-01-02T03:04:05.678"'),
        ("timestamptz", "2026-01-02 03:04:05.678+00", '"2026-01-02T03:04:05.678+00:00"'),
        ("timestamptz", "0044-03-15 12:00:00+00 BC", '"0044-03-15T12:00:00+00:00 BC"'),
        ("timestamptz", "infinity", '"infinity"'),
        ("timestamptz", "-infinity", '"-infinity"'),
        ("date", "2026-01-02", '"2026-01-02"'),
        ("jsonb", '{"a": [1, null]}', '{"a": [1, null]}'),
        ("bytea", "\\x0102ff", '"0102ff"'),
        ("uuid", "11111111-1111-4111-8111-111111111111", '"11111111-1111-4111-8111-111111111111"'),
        ("_int8", "{1,NULL,3}", "[1,null,3]"),
        ("_int8", "{}", "[]"),
        ("_int8", "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        ("_int8", "[0:1]={1,2}", "[1,2]"),
        ("_text", '{"a,b","c\\"d","NULL",NULL,"","x\\\\y"}', '["a,b","c\\"d","NULL",null,"","x\\\\y"]'),
        ("_timestamptz", '{"2026-01-02 03:04:05+00"}', '["2026-01-02T03:04:05+00:00"]'),
        ("_box", "{(1,1),(0,0);(2,2),(1,1)}", '["(1,1),(0,0)","(2,2),(1,1)"]'),
        ("pair", '(1,"x ""y"", (z)")', '{"a":1,"b":"x \\"y\\", (z)"}'),
        ("pair", "(,)", '{"a":null,"b":null}'),
        ("pair", '(,"")', '{"a":null,"b":""}'),
        ("_pair", '{"(1,)","(2,b)"}', '[{"a":1,"b":null},{"a":2,"b":"b"}]'),
        ("short", "abc", '"abc"'),
    ],
)
def test_values(type_name: str, text: str, expected: str) -> None:
    assert formatter(OIDS[type_name], TYPES)(text) == expected


def test_a_type_gone_from_the_catalogue_is_shown_as_text() -> None:
    assert formatter(999, TYPES)("5") == '"5"'


def postgres_array(items: list[str | None]) -> str:
    """The way array_out quotes: always here, which it accepts to be."""
    quoted = ("NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return "{" + ",".join(quoted) + "}"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
def test_any_text_array_is_that_list(items: list[str | None]) -> None:
    assert orjson.loads(formatter(OIDS["_text"], TYPES)(postgres_array(items))) == items
