"""From a request to SQL, against a catalogue made by hand: what is spelt, what is refused, and that nothing crashes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.rest.catalogue.relationships import derive_relationships
from minibase.rest.catalogue.values import Catalogue, Column, ForeignKey, Function, Name, Parameter, Relation
from minibase.rest.errors import RestError
from minibase.rest.plan.request import plan_request
from minibase.rest.query.plan import spell_plan
from minibase.rest.query.statement import Statement
from minibase.rest.request.parse import parse_request
from minibase.rest.templates import Planner


def relation(local: str, *names: str, key: tuple[str, ...] = ("id",)) -> Relation:
    kinds = {"id": "integer", "data": "jsonb", "search": "tsvector"}
    columns = {name: Column(name=name, type=kinds.get(name, "text"), base=kinds.get(name, "text")) for name in names}
    return Relation(name=Name("public", local), columns=columns, primary_key=key)


def key(constraint: str, source: str, near: str, target: str) -> ForeignKey:
    return ForeignKey(
        constraint=constraint,
        source=Name("public", source),
        target=Name("public", target),
        pairs=((near, "id"),),
        unique=False,
    )


def function(local: str, *parameters: Parameter, **more: object) -> Function:
    told = {"returns": "scalar", "returns_set": False, "volatility": "stable", **more}
    return Function(name=Name("public", local), parameters=parameters, **told)


def make_catalogue() -> Catalogue:
    relations = [
        relation("authors", "id", "name", "data"),
        relation("books", "id", "title", "author_id", "editor_id", "search"),
        relation("tags", "id", "label"),
        relation("book_tags", "book_id", "tag_id", key=("book_id", "tag_id")),
        relation('odd "name"', "id", 'a"b'),
    ]
    by_name = {each.name: each for each in relations}
    keys = [
        key("books_author_fkey", "books", "author_id", "authors"),
        key("books_editor_fkey", "books", "editor_id", "authors"),
        key("book_tags_book_fkey", "book_tags", "book_id", "books"),
        key("book_tags_tag_fkey", "book_tags", "tag_id", "tags"),
    ]
    functions = [
        function("add", Parameter(name="a", type="integer"), Parameter(name="b", type="integer", required=False)),
        function("twin", Parameter(name="a", type="integer")),
        function("twin", Parameter(name="a", type="text")),
        function("whole", Parameter(name="", type="jsonb")),
        function(
            "some_books", returns="row", returns_set=True, relation=Name("public", "books"), volatility="volatile"
        ),
    ]
    by_function: dict[Name, tuple[Function, ...]] = {}
    for each in functions:
        by_function[each.name] = (*by_function.get(each.name, ()), each)
    return Catalogue(
        relations=by_name, relationships=derive_relationships(by_name, keys, functions), functions=by_function
    )


CATALOGUE = make_catalogue()


def spell(method: str, target: str, body: bytes = b"", **headers: str) -> Statement:
    path, _, query = target.partition("?")
    request = parse_request(
        method=method,
        path=path,
        query=query,
        headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
        body=body,
        schemas=["public"],
    )
    return spell_plan(plan_request(CATALOGUE, request, max_rows=1000), 1000)


def test_values_are_parameters_and_names_are_quoted() -> None:
    statement = spell("GET", '/odd "name"?select="a\\"b"&"a\\"b"=eq.x\' or 1=1 --')
    assert '"public"."odd ""name"""' in statement.text
    assert '."a""b" = $1' in statement.text
    assert statement.parameters == (b"x' or 1=1 --", b"1000")


@pytest.mark.parametrize(
    ("query", "expected", "parameters"),
    [
        ("id=in.(1,2)", 't0."id" = ANY ($1)', (b'{"1","2"}',)),
        ("title=like.*x*", 't0."title" LIKE $1', (b"%x%",)),
        ("title=not.ilike(any).{a*,b*}", 'NOT (t0."title" ILIKE ANY ($1))', (b"{a%,b%}",)),
        ("id=is.not_null", 't0."id" IS NOT NULL', ()),
        ("search=fts(english).cat", 't0."search" @@ to_tsquery($1::regconfig, $2)', (b"english", b"cat")),
        ("title=plfts.cat", 'to_tsvector(t0."title") @@ plainto_tsquery($1)', (b"cat",)),
        ("title->a->>0=eq.5", "(to_jsonb(t0.\"title\")->'a'->>0) = $1", (b"5",)),
        ("or=(id.eq.1,not.and(id.gt.2,id.lt.5))", '(t0."id" = $1 OR NOT (t0."id" > $2 AND', (b"1", b"2", b"5")),
    ],
)
def test_filters_are_spelt(query: str, expected: str, parameters: tuple[bytes, ...]) -> None:
    statement = spell("GET", f"/books?{query}")
    assert expected in statement.text
    assert statement.parameters[:-1] == parameters


def test_json_keys_are_constants_that_cannot_break_out() -> None:
    statement = spell("GET", '/authors?select=data->"it\'s\\\\"')
    assert "t0.\"data\"->E'it''s\\\\'" in statement.text


def test_embeds_are_lateral_and_windowed_per_parent() -> None:
    text = spell("GET", "/authors?select=id,books!author_id!inner(title)&books.limit=3").text
    assert "INNER JOIN LATERAL (SELECT json_agg(r) AS j FROM (SELECT" in text
    assert 't1."author_id" = t0."id" LIMIT' in text
    assert "HAVING count(*) > 0" in text


def test_an_aliased_embed_still_answers_to_its_relation() -> None:
    select = "/authors?select=id,written:books!author_id(id)"
    assert spell("GET", f"{select}&books.id=gt.1") == spell("GET", f"{select}&written.id=gt.1")


def test_many_to_many_goes_through_the_junction() -> None:
    text = spell("GET", "/books?select=tags(label)").text
    assert '"public"."book_tags" AS' in text


def test_a_silent_write_reads_nothing_back() -> None:
    assert "RETURNING 1)" in spell("PATCH", "/books?id=eq.1", b'{"title":"x"}').text
    shaped = spell("PATCH", "/books?id=eq.1&select=title", b'{"title":"x"}', prefer="return=representation").text
    assert 'RETURNING target."title")' in shaped


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/book", b"", "PGRST205"),
        ("GET", "/books?select=nothing(x)", b"", "PGRST200"),
        ("GET", "/books?select=authors(x)", b"", "PGRST201"),
        ("GET", "/books?authors.id=eq.1", b"", "PGRST108"),
        ("GET", "/books?select=id,tags()&tags=eq.1", b"", "PGRST120"),
        ("GET", "/books?select=id.sum()", b"", "PGRST123"),
        ("GET", "/books?select=tags(id)&order=tags(id)", b"", "PGRST118"),
        ("POST", "/books", b'{"nope":1}', "PGRST204"),
        ("POST", "/books", b'[{"id":1},{"title":"x"}]', "PGRST102"),
        ("DELETE", "/books", b"", "21000"),
        ("PATCH", "/books", b'{"title":"x"}', "21000"),
        ("PUT", "/books?title=eq.x", b"{}", "PGRST105"),
        ("PUT", "/books?id=eq.1&limit=1", b'{"id":1}', "PGRST114"),
        ("PUT", "/books?id=eq.1", b'{"id":2}', "PGRST115"),
        ("POST", "/rpc/none", b"", "PGRST202"),
        ("POST", "/rpc/add", b'{"c":1}', "PGRST202"),
        ("POST", "/rpc/add", b"[1]", "PGRST102"),
        ("POST", "/rpc/twin", b'{"a":1}', "PGRST203"),
        ("GET", "/rpc/add?c=1", b"", "PGRST202"),
    ],
)
def test_refusals(method: str, target: str, body: bytes, code: str) -> None:
    with pytest.raises(RestError) as error:
        spell(method, target, body)
    assert error.value.problem.code == code


def test_hints_name_what_was_probably_meant() -> None:
    with pytest.raises(RestError) as error:
        spell("GET", "/bookz")
    assert error.value.problem.hint == "Perhaps you meant the table 'public.books'"
    with pytest.raises(RestError) as error:
        spell("GET", "/books?select=authors(id)")
    details = error.value.problem.details
    assert isinstance(details, list)
    assert [each["cardinality"] for each in details] == ["many-to-one", "many-to-one"]


def test_calls_find_their_arguments() -> None:
    named = spell("POST", "/rpc/add", b'{"a":1}')
    assert '"public"."add"("a" => a."a")' in named.text
    by_get = spell("GET", "/rpc/add?a=1&b=2")
    assert '"a" => $1::integer, "b" => $2::integer' in by_get.text
    whole = spell("POST", "/rpc/whole", b'{"any":1}')
    assert whole.parameters == (b'{"any":1}',)


OPERANDS = st.text(alphabet="ab1,.()%*\\\"'{} é", max_size=12)
SHAPES = st.lists(
    st.tuples(
        st.sampled_from(["id", "title", "data->>k", "author.name", "or", "order", "limit", "select", "authors"]),
        st.one_of(
            st.tuples(st.sampled_from(["eq.", "gt.", "not.eq.", "in.", "like."]), OPERANDS).map("".join), OPERANDS
        ),
    ),
    max_size=4,
)


@settings(deadline=None)  # a busy machine is no finding
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]),
    path=st.sampled_from(["/books", "/authors", "/rpc/add", "/rpc/some_books", "/x"]),
    pairs=SHAPES,
    body=st.one_of(st.binary(max_size=20), st.sampled_from([b"{}", b"[]", b'{"id":1}', b'[{"title":null}]', b"null"])),
    prefer=st.sampled_from(["", "return=representation,count=exact", "resolution=merge-duplicates,missing=default"]),
)
def test_any_request_is_spelt_or_refused(
    method: str, path: str, pairs: list[tuple[str, str]], body: bytes, prefer: str
) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    with contextlib.suppress(RestError):
        statement = spell(method, f"{path}?{query}", body, prefer=prefer)
        for number in range(1, len(statement.parameters) + 1):
            assert f"${number}" in statement.text


def outcome_of(plan: Callable[[], Statement]) -> object:
    try:
        return plan()
    except RestError as error:
        return error.problem


@settings(deadline=None)  # a busy machine is no finding
@given(queries=st.lists(SHAPES, min_size=1, max_size=6))
def test_a_template_plans_exactly_what_planning_afresh_would(queries: list[list[tuple[str, str]]]) -> None:
    planner = Planner(CATALOGUE, 1000)
    for pairs in [*queries, *queries]:
        query = "&".join(f"{name}={value}" for name, value in pairs)
        request = parse_request(method="GET", path="/books", query=query, headers=[], body=b"", schemas=["public"])
        afresh = outcome_of(lambda r=request: spell_plan(plan_request(CATALOGUE, r, max_rows=1000), 1000))
        assert outcome_of(lambda r=request: planner.plan(r)[1]) == afresh


def test_templates_are_filled_with_each_request_s_own_values() -> None:
    planner = Planner(CATALOGUE, 1000)
    found = []
    for value in ("1", "2", "3"):
        request = parse_request(
            method="GET",
            path="/books",
            query=f"id=eq.{value}&title=gt.{value}{value}",
            headers=[],
            body=b"",
            schemas=["public"],
        )
        found.append(planner.plan(request)[1].parameters)
    assert found == [(b"1", b"11", b"1000"), (b"2", b"22", b"1000"), (b"3", b"33", b"1000")]
