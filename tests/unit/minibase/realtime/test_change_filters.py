"""Filters of postgres_changes bindings: what parses, what is refused in words, what matches without a database."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.realtime.filters import Filter, FilterError, Operator, matches, needs_postgres, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("id=eq.5", (Filter(column="id", operator=Operator.EQ, values=("5",)),)),
        ("id=not.eq.5", (Filter(column="id", operator=Operator.EQ, values=("5",), negated=True),)),
        ("title=eq.a.b=c", (Filter(column="title", operator=Operator.EQ, values=("a.b=c",)),)),
        ('title=eq."a,\\"b"', (Filter(column="title", operator=Operator.EQ, values=('a,"b',)),)),
        ('title=in.(a,"b,c",NULL)', (Filter(column="title", operator=Operator.IN, values=("a", "b,c", None)),)),
        ("id=in.()", (Filter(column="id", operator=Operator.IN, values=()),)),
        ("done=is.TRUE", (Filter(column="done", operator=Operator.IS, values=("true",)),)),
        (
            "a=gt.1, b=like.x%",
            (
                Filter(column="a", operator=Operator.GT, values=("1",)),
                Filter(column="b", operator=Operator.LIKE, values=("x%",)),
            ),
        ),
    ],
)
def test_parse(text: str, expected: tuple[Filter, ...]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id", "column=operator.value"),
        ("=eq.5", "column=operator.value"),
        ("id=eq", "operator followed by a dot"),
        ("id=foo.5", "'foo'"),
        ("id=in.5", "parentheses"),
        ("id=is.maybe", "'maybe'"),
        ("id=in.(" + ",".join(map(str, range(101))) + ")", "at most 100"),
        ("id=eq.1,", "column=operator.value"),
    ],
)
def test_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(FilterError, match=words.replace("(", r"\(").replace("=", "=")):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("id=eq.5", "5", True),
        ("id=eq.5", "6", False),
        ("id=eq.5", None, False),
        ("id=neq.5", "6", True),
        ("id=neq.5", None, False),
        ("id=not.eq.5", None, False),
        ("id=not.eq.5", "6", True),
        ("id=gt.9", "10", True),
        ("id=lte.9", "10", False),
        ("id=gte.-1", "-1", True),
        ("id=lt.0", "-3", True),
        ("id=in.(1,2)", "2", True),
        ("id=in.(1,2)", "3", False),
        ("id=not.in.(1,2)", "3", True),
        ("id=not.in.(1,NULL)", "3", False),
        ("id=in.()", "3", False),
        ("id=isdistinct.5", None, True),
        ("id=isdistinct.5", "5", False),
        ("id=not.isdistinct.5", "5", True),
        ("id=is.null", None, True),
        ("id=not.is.null", None, False),
        ("id=not.is.null", "0", True),
        ("done=is.true", "t", True),
        ("done=is.false", "t", False),
        ("done=is.unknown", None, True),
        ("done=not.is.true", None, True),
    ],
)
def test_matches(text: str, value: str | None, expected: bool) -> None:
    (condition,) = parse(text)
    assert matches(condition, value, condition.values) is expected


@pytest.mark.parametrize(
    ("text", "type_name", "expected"),
    [
        ("c=eq.1", "int4", False),
        ("c=lt.1", "int8", False),
        ("c=eq.x", "text", False),
        ("c=lt.x", "text", True),
        ("c=eq.1", "numeric", True),
        ("c=is.null", "numeric", False),
        ("c=like.x", "text", True),
        ("c=eq.x", "citext", True),
    ],
)
def test_who_decides(text: str, type_name: str, expected: bool) -> None:
    (condition,) = parse(text)
    assert needs_postgres(condition, type_name, is_enum=False, plain_collation=True) is expected


@settings(max_examples=60, deadline=None)
@given(st.text('abc=.,()"\\ not eqinis', max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(FilterError):
        parse(text)
