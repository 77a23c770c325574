"""What a change shows to whom, and which channels it is for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from minibase.realtime import bindings
from minibase.realtime.bindings import Change
from minibase.realtime.changes import (
    MAX_PAYLOAD_BYTES,
    NO_KEY,
    TOO_LARGE,
    UNAUTHORIZED,
    Layout,
    RowChange,
    format_commit_time,
    from_message,
    render,
    render_error,
)
from minibase.realtime.filters import Filter, Operator
from minibase.realtime.matching import Cohort, Condition, Hit, Plan, Question, Route, match, questions
from minibase.realtime.messages import Version
from minibase.realtime.pgoutput import UNCHANGED, Column, Delete, Identity, Insert, Relation, Update
from minibase.realtime.snapshots import Snapshot
from minibase.realtime.statements import conditions_met, quote_identifier, rows_visible
from minibase.realtime.tables import Access, MisfitError, Rows, Table, TableColumn, bounded_time_limit, check_fit

NAMES = {"id": "int8", "title": "text", "body": "text"}


def table(*, row_security: bool = False, key: tuple[str, ...] = ("id",)) -> Table:
    columns = {
        name: TableColumn(name=name, type_name=kind, sql_type=kind, is_enum=False, plain_collation=True)
        for name, kind in NAMES.items()
    }
    return Table(oid=1, schema="public", name="to dos", key=key, row_security=row_security, columns=columns)


def layout(of: Table | None = None) -> Layout:
    columns = tuple(Column(name=name, type_oid=0, type_modifier=-1, in_identity=name == "id") for name in NAMES)
    relation = Relation(oid=1, schema="public", name="to dos", identity=Identity.DEFAULT, columns=columns)
    as_text = lambda text: f'"{text}"'  # noqa: E731
    return Layout(relation=relation, table=of or table(), formatters=(str, as_text, as_text))


def change(message: Insert | Update | Delete, of: Table | None = None) -> RowChange:
    return from_message(message, layout(of), xid=7, committed_at="2026-11-22T10:00:00.123Z")


def access(*columns: str, rows: Rows = Rows.ALL) -> Access:
    return Access(selectable=frozenset(columns or NAMES), rows=rows, time_limit="8s")


def shown(row: RowChange, to: Access | None = None, select: frozenset[str] | None = None) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(render(row, to or access(), select))
    return data


INSERT = Insert(relation=1, new=("6", "new", None))
UPDATE = Update(relation=1, old=None, old_is_whole=False, new=("6", "newer", UNCHANGED))
FULL_UPDATE = Update(relation=1, old=("6", "new", "long"), old_is_whole=True, new=("6", "newer", UNCHANGED))
DELETE = Delete(relation=1, old=("6", None, None), old_is_whole=False)
FULL_DELETE = Delete(relation=1, old=("6", "new", "long"), old_is_whole=True)


def test_insert() -> None:
    assert shown(change(INSERT)) == {
        "schema": "public",
        "table": "to dos",
        "type": "INSERT",
        "commit_timestamp": "2026-11-22T10:00:00.123Z",
        "errors": None,
        "columns": [{"name": name, "type": kind} for name, kind in NAMES.items()],
        "record": {"id": 6, "title": "new", "body": None},
    }


@pytest.mark.parametrize(
    ("message", "record", "old_record"),
    [
        (UPDATE, {"id": 6, "title": "newer"}, {"id": 6}),
        (FULL_UPDATE, {"id": 6, "title": "newer", "body": "long"}, {"id": 6, "title": "new", "body": "long"}),
        (
            Update(relation=1, old=("5", None, None), old_is_whole=False, new=("6", "x", "y")),
            {"id": 6, "title": "x", "body": "y"},
            {"id": 5},
        ),
    ],
)
def test_update(message: Update, record: dict[str, Any], old_record: dict[str, Any]) -> None:
    data = shown(change(message))
    assert (data["record"], data["old_record"]) == (record, old_record)


def test_delete_under_policies_tells_the_key_only() -> None:
    assert shown(change(FULL_DELETE))["old_record"] == {"id": 6, "title": "new", "body": "long"}
    data = shown(change(FULL_DELETE, table(row_security=True)))
    assert data["old_record"] == {"id": 6}
    assert "record" not in data


def test_only_readable_and_selected_columns() -> None:
    data = shown(change(INSERT), access("id", "title"))
    assert data["record"] == {"id": 6, "title": "new"}
    assert [column["name"] for column in data["columns"]] == ["id", "title"]
    assert shown(change(INSERT), select=frozenset({"body"}))["record"] == {"id": 6, "body": None}


def test_a_payload_too_large_loses_its_large_values() -> None:
    row = Insert(relation=1, new=("6", "short", "é" * (MAX_PAYLOAD_BYTES // 2)))
    data = shown(change(row))
    assert data["record"] == {"id": 6, "title": "short"}
    assert data["errors"] == [TOO_LARGE]


def test_errors_show_no_data() -> None:
    data = orjson.loads(render_error(change(UPDATE), UNAUTHORIZED))
    assert data == {
        "schema": "public",
        "table": "to dos",
        "type": "UPDATE",
        "commit_timestamp": None,
        "errors": [UNAUTHORIZED],
        "columns": [],
        "record": {},
        "old_record": {},
    }


@pytest.mark.parametrize(
    ("message", "column", "expected"),
    [
        (INSERT, "title", "new"),
        (INSERT, "body", None),
        (INSERT, "gone", UNCHANGED),
        (UPDATE, "body", UNCHANGED),
        (FULL_UPDATE, "body", "long"),
        (DELETE, "id", "6"),
        (DELETE, "title", UNCHANGED),
        (FULL_DELETE, "title", "new"),
    ],
)
def test_what_filters_look_at(message: Insert | Update | Delete, column: str, expected: object) -> None:
    assert change(message).tested(column) == expected


def test_commit_times_have_three_decimals_and_never_run_ahead() -> None:
    assert format_commit_time(0) == "2000-01-01T00:00:00.000Z"
    assert format_commit_time(999_999) == "2000-01-01T00:00:00.999Z"


def condition(text: str, *, in_postgres: bool = False) -> Condition:
    wanted = Filter(column="title", operator=Operator.EQ, values=(text,))
    return Condition(filter=wanted, sql_type="text", operands=(text,), in_postgres=in_postgres)


def cohort(topic: str) -> Cohort:
    return Cohort(topic=topic, version=Version.V1, bindings=())


def route(number: int, kind: Change | None = None, *conditions: Condition, select: Any = None) -> Route:
    return Route(id=number, kind=kind, conditions=conditions, select=select)


def plan(routes: dict[Cohort, tuple[Route, ...]], of: Table | None = None, to: Access | None = None) -> Plan:
    return Plan(table=of or table(), access=to or access(), routes=routes)


def test_one_frame_per_channel_with_all_its_ids() -> None:
    a, b = cohort("a"), cohort("b")
    routes = {
        a: (route(1), route(2, Change.INSERT), route(3, Change.DELETE), route(1), route(4, None, condition("other"))),
        b: (route(5, Change.UPDATE),),
    }
    assert match(change(INSERT), plan(routes), {}) == [Hit(cohort=a, ids=(1, 2), select=None)]


def test_one_frame_per_selection() -> None:
    chosen = frozenset({"title"})
    a = cohort("a")
    hits = match(change(INSERT), plan({a: (route(1), route(2, select=chosen))}), {})
    assert hits == [Hit(cohort=a, ids=(1,), select=None), Hit(cohort=a, ids=(2,), select=chosen)]


def test_questions_only_postgres_can_answer() -> None:
    asked = condition("x", in_postgres=True)
    a = cohort("a")
    the_plan = plan({a: (route(1, None, asked),)})
    (question,) = questions(change(INSERT), the_plan)
    assert question == Question(condition=asked, value="new")
    assert match(change(INSERT), the_plan, {question: True}) == [Hit(cohort=a, ids=(1,), select=None)]
    assert match(change(INSERT), the_plan, {question: False}) == []
    assert list(questions(change(DELETE), the_plan)) == []
    assert match(change(DELETE), the_plan, {}) == []


@pytest.mark.parametrize(
    ("of", "to", "message", "expected"),
    [
        (table(key=()), access(), INSERT, NO_KEY),
        (table(key=()), access(), DELETE, None),
        (table(), access("title"), INSERT, UNAUTHORIZED),
        (table(), access("title"), DELETE, None),
        (table(), access(), INSERT, None),
    ],
)
def test_changes_nobody_of_a_role_may_be_shown(of: Table, to: Access, message: Any, expected: str | None) -> None:
    the_plan = plan({cohort("a"): (route(1, None, condition("never")),)}, of, to)
    row = change(message, of)
    assert the_plan.error(row) == expected
    assert bool(match(row, the_plan, {})) == (expected is not None)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"filter": "gone=eq.1"}, "does not exist"),
        ({"filter": "body=eq.1"}, "may not be selected"),
        ({"filter": "title=is.true"}, "boolean"),
        ({"select": ["body"]}, "may not be selected"),
    ],
)
def test_bindings_that_do_not_fit(entry: dict[str, Any], words: str) -> None:
    binding = bindings.parse({"schema": "public", "table": "to dos", **entry})
    with pytest.raises(MisfitError, match=words):
        check_fit(binding, table(), access("id", "title"))


@pytest.mark.parametrize(
    ("entry", "covered", "not_covered"),
    [
        ({"schema": "public"}, ("public", "t"), ("other", "t")),
        ({"schema": "public", "table": "*"}, ("public", "t"), ("other", "t")),
        ({"schema": "*"}, ("other", "t"), None),
        ({"table": "t"}, ("public", "t"), ("public", "u")),
        ({"schema": "s", "table": "t"}, ("s", "t"), ("s", "u")),
    ],
)
def test_what_a_binding_covers(
    entry: dict[str, Any], covered: tuple[str, str], not_covered: tuple[str, str] | None
) -> None:
    binding = bindings.parse(entry)
    assert binding.covers(*covered)
    assert not_covered is None or not binding.covers(*not_covered)


@pytest.mark.parametrize(
    ("event", "expected"), [("insert", Change.INSERT), ("DELETE", Change.DELETE), ("*", None), ("x", None), (5, None)]
)
def test_kinds_of_change(event: object, expected: Change | None) -> None:
    assert bindings.parse({"schema": "public", "event": event}).change is expected


@pytest.mark.parametrize(
    ("snapshot", "xid", "seen"),
    [
        ("10:20:", 9, True),
        ("10:20:12,15", 12, False),
        ("10:20:12,15", 13, True),
        ("10:20:", 20, False),
        ("10:20:", 21, False),
        ("4294967290:4294967296:", 4294967295, True),
        ("4294967290:4294967296:", 0, False),
        ("4294967300:4294967300:", 4294967295, True),
    ],
)
def test_snapshots_decide_what_came_before(snapshot: str, xid: int, seen: bool) -> None:
    assert Snapshot.parse(snapshot).sees(xid) is seen


def test_generated_sql_quotes_what_it_names() -> None:
    assert quote_identifier('a"b') == '"a""b"'
    assert '"public"."to dos"' in rows_visible(table())
    assert conditions_met(condition("x", in_postgres=True)).startswith("select array_agg(coalesce(")


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("8s", "8000ms"),
        ("250", "250ms"),
        ("250ms", "250ms"),
        (" 0.5 s ", "500ms"),
        ("1min", "10000ms"),
        ("2h", "10000ms"),
        ("0", "10000ms"),
        ("900us", "10000ms"),
        ("soon", "10000ms"),
    ],
)
def test_a_question_may_take_as_long_as_its_role_allows_and_never_for_ever(written: str, milliseconds: str) -> None:
    assert bounded_time_limit(written) == milliseconds
