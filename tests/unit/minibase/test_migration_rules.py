"""Which migrations are pending, and how a file runs."""

from __future__ import annotations

import pytest

from minibase.errors import MinibaseError
from minibase.postgres.migrations import (
    Migration,
    choose_pending,
    is_transaction_edge,
    parse_file_name,
    read_script,
)
from minibase.postgres.splitter import split_statements


def files(*versions: str) -> list[Migration]:
    return [Migration(version=version, name="x", file=f"{version}_x.sql") for version in versions]


@pytest.mark.parametrize(
    ("file", "parsed"),
    [
        ("20260101000000_first_table.sql", ("20260101000000", "first_table")),
        ("1_.sql", ("1", "")),
        ("first.sql", None),
        ("2026_a.sql.bak", None),
        ("v1_a.sql", None),
    ],
)
def test_file_names(file: str, parsed: tuple[str, str] | None) -> None:
    migration = parse_file_name(file)
    assert (migration and (migration.version, migration.name)) == parsed


def test_pending_are_those_the_history_lacks_in_order_of_their_text() -> None:
    assert choose_pending(files("3", "10", "2"), ["10"]) == tuple(files("2", "3"))


def test_a_history_entry_without_a_file_is_refused_with_steps() -> None:
    with pytest.raises(MinibaseError, match=r"had migration 2, .*minibase reset.*--status reverted 2"):
        choose_pending(files("1"), ["1", "2"])


def test_a_late_file_is_refused_unless_asked_for() -> None:
    with pytest.raises(MinibaseError, match=r"1_x.sql would be applied after the newer 2.*--include-all"):
        choose_pending(files("1", "2"), ["2"])
    assert choose_pending(files("1", "2"), ["2"], include_all=True) == tuple(files("1"))


def test_two_files_of_one_version_are_refused() -> None:
    with pytest.raises(MinibaseError, match="the same version 1"):
        choose_pending([*files("1"), Migration(version="1", name="y", file="1_y.sql")], [])


@pytest.mark.parametrize(
    ("sql", "unit"),
    [
        ("create table a (); create index on a (b);", True),
        ("create index concurrently i on a (b);", False),
        ("create table a (); CREATE UNIQUE INDEX CONCURRENTLY i on a (b);", False),
        ("drop index concurrently i", False),
        ("vacuum a", False),
        ("-- pg-delta: transaction=false\nselect 1", False),
        ("select 1; -- pg-delta: transaction=false", True),
        ("select 'create index concurrently'", True),
    ],
)
def test_a_file_is_one_transaction_unless_postgres_or_its_first_line_forbids(sql: str, unit: bool) -> None:
    assert read_script("f.sql", sql).in_transaction is unit


def test_a_rollback_is_refused_but_not_one_to_a_savepoint() -> None:
    with pytest.raises(MinibaseError, match=r"f\.sql, line 2: .*ROLLBACK"):
        read_script("f.sql", "select 1;\nrollback;")
    assert read_script("f.sql", "savepoint a; rollback to a;").in_transaction


def test_begin_and_commit_are_told_from_what_looks_like_them() -> None:
    statements = split_statements("begin; start transaction; commit; end; start_x(); select 1; 'begin'")
    assert [is_transaction_edge(statement) for statement in statements] == [True] * 4 + [False] * 3
