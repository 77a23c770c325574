"""The grammar of the query string: what each spelling means, and that nothing else than PGRST errors comes out."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.rest.errors import RestError
from minibase.rest.request.conditions import parse_filter, parse_group
from minibase.rest.request.fields import parse_field, parse_names
from minibase.rest.request.media import choose_media
from minibase.rest.request.ordering import parse_order
from minibase.rest.request.parse import parse_request, parse_shape, split_query
from minibase.rest.request.payload import read_payload
from minibase.rest.request.preferences import parse_preferences
from minibase.rest.request.select import parse_select
from minibase.rest.request.values import (
    Comparator,
    Compare,
    Condition,
    CountMode,
    Field,
    Group,
    Is,
    JsonStep,
    MediaKind,
    OneOf,
    OnFunction,
    OnRelation,
    OrderTerm,
    Resolution,
    ReturnMode,
    Search,
    SearchMode,
    SelectEmbed,
    SelectField,
    Verb,
    Window,
)


def column(name: str, **more: str) -> SelectField:
    return SelectField(field=Field(name=name), **more)


def code_of(error: pytest.ExceptionInfo[RestError]) -> str:
    return error.value.problem.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", (column("*"),)),
        ("", ()),
        ("id,name", (column("id"), column("name"))),
        ("title:name", (column("name", alias="title"),)),
        ("id::text", (column("id", cast="text"),)),
        ("t:id::double precision[]", (column("id", alias="t", cast="double precision[]"),)),
        ('"a.b",first name', (column("a.b"), column("first name"))),
        ("created-at", (column("created-at"),)),
        (
            "meta->home->>city",
            (
                SelectField(
                    field=Field(
                        name="meta", path=(JsonStep(as_text=False, key="home"), JsonStep(as_text=True, key="city"))
                    )
                ),
            ),
        ),
        ("arr->-1", (SelectField(field=Field(name="arr", path=(JsonStep(as_text=False, key=-1),))),)),
        (
            "id,who:author!posts_author_fkey!inner(name)",
            (
                column("id"),
                SelectEmbed(name="author", alias="who", hint="posts_author_fkey", inner=True, items=(column("name"),)),
            ),
        ),
        ("...author(name)", (SelectEmbed(name="author", spread=True, items=(column("name"),)),)),
        ("rel()", (SelectEmbed(name="rel", items=()),)),
        ("count()", (SelectField(field=Field(name="*"), aggregate="count"),)),
        ("amount.sum()::text", (column("amount", aggregate="sum", cast="text"),)),
    ],
)
def test_select(text: str, expected: object) -> None:
    assert parse_select(text) == expected


@pytest.mark.parametrize(
    "text", ["id,", "(", "a(", "a)", "a::", "a::text;drop", "a->", "id::int4) --", "x" + "(a" * 40]
)
def test_select_refuses(text: str) -> None:
    with pytest.raises(RestError) as error:
        parse_select(text)
    assert code_of(error) == "PGRST100"


@pytest.mark.parametrize(
    ("text", "test", "negated"),
    [
        ("eq.5", Compare(comparator=Comparator.EQ, value="5"), False),
        ("eq.", Compare(comparator=Comparator.EQ, value=""), False),
        ("eq.a,b.c(d)", Compare(comparator=Comparator.EQ, value="a,b.c(d)"), False),
        ("not.like.a*", Compare(comparator=Comparator.LIKE, value="a*"), True),
        ("eq(any).{1,2}", Compare(comparator=Comparator.EQ, value="{1,2}", quantifier="any"), False),
        ("in.(1,2)", OneOf(values=("1", "2")), False),
        ('in.("a,b","say \\"x\\"",c d)', OneOf(values=("a,b", 'say "x"', "c d")), False),
        ('in.(5" disk,a"b")', OneOf(values=('5" disk', 'a"b"')), False),
        ("in.()", OneOf(values=()), False),
        ("is.NULL", Is(word="null"), False),
        ("not.is.not_null", Is(word="not null"), True),
        ("fts(english).cat", Search(mode=SearchMode.RAW, query="cat", config="english"), False),
        ("wfts.a b", Search(mode=SearchMode.WEB, query="a b"), False),
        ("cs.{a,b}", Compare(comparator=Comparator.CONTAINS, value="{a,b}"), False),
        ("adj.[1,5)", Compare(comparator=Comparator.ADJACENT, value="[1,5)"), False),
    ],
)
def test_filter(text: str, test: object, negated: bool) -> None:
    assert parse_filter(Field(name="c"), text) == Condition(field=Field(name="c"), test=test, negated=negated)


@pytest.mark.parametrize(
    "text", ["", "5", "nope.5", "in.1,2", "in.(1", "is.maybe", "neq(any).{1}", "eq(some).1", "fts(a b).x"]
)
def test_filter_refuses(text: str) -> None:
    with pytest.raises(RestError) as error:
        parse_filter(Field(name="c"), text)
    assert code_of(error) == "PGRST100"


def test_a_tree_ends_values_at_commas_and_keeps_braces_and_quotes() -> None:
    tree = parse_group("or", '(a.eq."x,y",not.and(b.cs.{1,2},c.in.(3,4)),d->>k.not.is.null)', negated=True)
    assert tree == Group(
        joiner="or",
        negated=True,
        members=(
            Condition(field=Field(name="a"), test=Compare(comparator=Comparator.EQ, value="x,y")),
            Group(
                joiner="and",
                negated=True,
                members=(
                    Condition(field=Field(name="b"), test=Compare(comparator=Comparator.CONTAINS, value="{1,2}")),
                    Condition(field=Field(name="c"), test=OneOf(values=("3", "4"))),
                ),
            ),
            Condition(
                field=Field(name="d", path=(JsonStep(as_text=True, key="k"),)), test=Is(word="null"), negated=True
            ),
        ),
    )


@pytest.mark.parametrize("text", ["()", "", "(a.eq.1", "(a.eq.1))", "(a)", "(a.eq.1,)"])
def test_tree_refuses(text: str) -> None:
    with pytest.raises(RestError) as error:
        parse_group("or", text, negated=False)
    assert code_of(error) == "PGRST100"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", OrderTerm(field=Field(name="a"))),
        ("a.desc.nullsfirst", OrderTerm(field=Field(name="a"), direction="desc", nulls="first")),
        ("a.nullslast", OrderTerm(field=Field(name="a"), nulls="last")),
        ("d->>k.asc", OrderTerm(field=Field(name="d", path=(JsonStep(as_text=True, key="k"),)), direction="asc")),
        ("rel(col).desc", OrderTerm(field=Field(name="col"), embed="rel", direction="desc")),
    ],
)
def test_order(text: str, expected: OrderTerm) -> None:
    assert parse_order(text) == (expected,)


def test_shape_sorts_pairs_by_the_embed_they_name() -> None:
    shape = parse_shape(
        split_query(
            "select=id,rel(x)&rel.sub.col=eq.1&rel.order=x.desc&rel.limit=3&limit=5&offset=2&rel.not.or=(a.is.null)"
        )
    )
    assert [path for path, _ in shape.conditions] == [("rel", "sub"), ("rel",)]
    assert shape.orders.keys() == {("rel",)}
    assert shape.windows == {(): Window(offset=2, limit=5), ("rel",): Window(limit=3)}
    group = shape.conditions[1][1]
    assert isinstance(group, Group)
    assert group.negated


def test_filters_on_one_column_are_kept_in_order() -> None:
    shape = parse_shape((("a", "gt.1"), ("a", "lt.5"), ("not.and", "(a.eq.2,b.eq.3)")))
    assert len(shape.conditions) == 3


@pytest.mark.parametrize(
    ("key", "value", "code"), [("limit", "-1", "PGRST103"), ("limit", "x", "PGRST100"), ("columns", "", "PGRST100")]
)
def test_shape_refuses(key: str, value: str, code: str) -> None:
    with pytest.raises(RestError) as error:
        parse_shape(((key, value),))
    assert code_of(error) == code


def test_names_may_be_quoted_and_count_once() -> None:
    assert parse_names('a,"b c",a', "columns") == ("a", "b c")


def test_preferences() -> None:
    found = parse_preferences(["return=representation,count=exact", "resolution=merge-duplicates, tx=rollback, foo"])
    assert found.returns is ReturnMode.REPRESENTATION
    assert found.count is CountMode.EXACT
    assert found.resolution is Resolution.MERGE


def test_strict_preferences_list_what_is_unknown() -> None:
    with pytest.raises(RestError) as error:
        parse_preferences(["handling=strict, foo=bar, count=many"])
    assert code_of(error) == "PGRST122"
    assert error.value.problem.details == "Invalid preferences: foo=bar, count=many"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", MediaKind.JSON),
        ("*/*", MediaKind.JSON),
        ("text/html, application/json;q=0.5", MediaKind.JSON),
        ("text/csv", MediaKind.CSV),
        ("application/vnd.pgrst.object+json;nulls=stripped", MediaKind.OBJECT),
        ("application/json;q=0.1, text/csv;q=0.9", MediaKind.CSV),
    ],
)
def test_media(accept: str, kind: MediaKind) -> None:
    assert choose_media(accept).kind is kind


def test_media_refuses_what_cannot_be_made() -> None:
    with pytest.raises(RestError) as error:
        choose_media("image/png")
    assert code_of(error) == "PGRST107"


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/todos", OnRelation(verb=Verb.READ, name="todos")),
        ("PATCH", "/my table", OnRelation(verb=Verb.UPDATE, name="my table")),
        ("POST", "/rpc/f", OnFunction(name="f", by_get=False)),
        ("HEAD", "/rpc/f", OnFunction(name="f", by_get=True)),
    ],
)
def test_targets(method: str, path: str, target: object) -> None:
    found = parse_request(method=method, path=path, query="", headers=[], body=b"", schemas=["public"])
    assert found.target == target


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("GET", "/a/b", [], "PGRST125"),
        ("GET", "/", [], "PGRST126"),
        ("GET", "/a\0b", [], "22021"),
        ("DELETE", "/rpc/f", [], "PGRST101"),
        ("TRACE", "/a", [], "PGRST117"),
        ("GET", "/a", [("accept-profile", "secret")], "PGRST106"),
        ("GET", "/a", [("range", "9-3")], "PGRST103"),
    ],
)
def test_requests_refused(method: str, path: str, headers: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(RestError) as error:
        parse_request(method=method, path=path, query="", headers=headers, body=b"", schemas=["public"])
    assert code_of(error) == code


def test_payloads_know_their_keys_and_pass_json_through() -> None:
    body = b'[{"a": 1.10, "b": 2}, {"b": 3, "a": 4}]'
    found = read_payload(body, "application/json; charset=utf-8")
    assert (found.text, found.keys, found.rows, found.uniform) == (body, ("a", "b"), 2, True)
    assert not read_payload(b'[{"a":1},{"b":1}]', "").uniform
    assert read_payload(b"a,b\n1,NULL\n", "text/csv").text == b'[{"a":"1","b":null}]'
    assert read_payload(b"a=1&b=x+y", "application/x-www-form-urlencoded").text == b'{"a":"1","b":"x y"}'


@pytest.mark.parametrize(
    ("body", "kind"), [(b"{", ""), (b"", ""), (b"<a/>", "text/xml"), (b"a,b\n1\n", "text/csv"), (b"\xff", "text/csv")]
)
def test_payloads_refused(body: bytes, kind: str) -> None:
    with pytest.raises(RestError) as error:
        read_payload(body, kind)
    assert code_of(error) == "PGRST102"


GRAMMAR = st.text(alphabet='ab10_*.,()!:->"\\{}&= né%', max_size=40)


@settings(deadline=None)  # a busy machine is no finding
@given(st.one_of(st.text(max_size=30), GRAMMAR))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        parse_select,
        parse_order,
        parse_field,
        lambda t: parse_filter(Field(name="c"), t),
        lambda t: parse_group("or", t, negated=False),
        lambda t: parse_shape(split_query(t)),
        lambda t: parse_preferences([t]),
        choose_media,
    ):
        with contextlib.suppress(RestError):
            read(text)


@settings(deadline=None)  # a busy machine is no finding
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
def test_lists_as_the_python_client_quotes_them_come_back(values: list[str]) -> None:
    quoted = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    found = parse_filter(Field(name="c"), f"in.({quoted})").test
    assert found == OneOf(values=tuple(values))
