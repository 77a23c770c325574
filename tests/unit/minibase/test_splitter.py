"""Cutting SQL files into statements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibase.postgres.splitter import split_statements


def split(sql: str) -> list[str]:
    return [statement.sql for statement in split_statements(sql)]


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("", []),
        (" ;;\n; ", []),
        ("-- nothing; here\n/* nor; here */", []),
        ("select 1", ["select 1"]),
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("-- why;\nselect 1;", ["-- why;\nselect 1"]),
        ("select ';'; select 2", ["select ';'", "select 2"]),
        ("select 'it''s; so'; x", ["select 'it''s; so'", "x"]),
        (r"select 'back\'; x", [r"select 'back\'", "x"]),
        (r"select E'it\'s; so'; x", [r"select E'it\'s; so'", "x"]),
        (r"select e'\\'; x", [r"select e'\\'", "x"]),
        ('select "a;""b;"; x', ['select "a;""b;"', "x"]),
        ("/* a /* b; */ ; */ select 1; x", ["/* a /* b; */ ; */ select 1", "x"]),
        ("do $$ begin; end; $$; x", ["do $$ begin; end; $$", "x"]),
        ("do $a$ $b$; $$; $a$; x", ["do $a$ $b$; $$; $a$", "x"]),
        ("do $é$;$é$; x", ["do $é$;$é$", "x"]),
        ("select a$b$ ; x; $b$", ["select a$b$", "x", "$b$"]),
        ("prepare p as select $1; x", ["prepare p as select $1", "x"]),
        ("create rule r as on insert to t do (a; b); x", ["create rule r as on insert to t do (a; b)", "x"]),
        ("select ); x", ["select )", "x"]),
        ("begin; x; end;", ["begin", "x", "end"]),
        (
            "create function f() begin atomic select case when a then b end; select 2; end; x",
            ["create function f() begin atomic select case when a then b end; select 2; end", "x"],
        ),
        (
            "create function f() BEGIN\nATOMIC select 1; END; x",
            ["create function f() BEGIN\nATOMIC select 1; END", "x"],
        ),
        ("select 'open; x", ["select 'open; x"]),
        ("select $$open; x", ["select $$open; x"]),
        ("select 1 /* open; x", ["select 1 /* open; x"]),
    ],
)
def test_a_semicolon_ends_a_statement_only_where_postgres_says_so(sql: str, statements: list[str]) -> None:
    assert split(sql) == statements


def test_lines_are_those_of_the_file() -> None:
    first, second = split_statements("\n\nselect 1;\n\n  -- about\nselect\n  x")
    assert (first.line, second.line) == (3, 5)
    assert second.line_at(second.sql.index("x") + 1) == 7


def test_the_first_words_tell_what_a_statement_is() -> None:
    (statement,) = split_statements('/* a */ Create INDEX -- b\n concurrently "On" idx on t (a)')
    assert statement.words == ("create", "index", "concurrently", "idx", "on", "t", "a")


_PIECES = st.sampled_from(
    ["select 1", "'a;b'", '"c;d"', "$$ e; $$", "$t$ ; $$ ; $t$", "/* ; /* ; */ */", "-- ;\n", r"E'\';'", "(a; b)", " x"]
)


@given(st.lists(st.lists(_PIECES, min_size=1, max_size=5), max_size=5))
def test_joining_whole_statements_and_splitting_gives_them_back(parts: list[list[str]]) -> None:
    statements = ["select " + " ".join(pieces) for pieces in parts]
    assert split(";".join(statements)) == [statement.strip() for statement in statements]


@given(st.text(alphabet="'\"$;-/*\\()eEa \n1é", max_size=60))
def test_any_text_is_cut_into_its_own_stretches(sql: str) -> None:
    position = 0
    for statement in split_statements(sql):
        position = sql.index(statement.sql, position) + len(statement.sql)
        assert statement.sql == statement.sql.strip()
