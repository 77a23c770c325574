"""SQLSTATEs to statuses, errors raised by hand, ranges, and the origins of view columns."""

from __future__ import annotations

import pytest

from minibase.rest.catalogue.origins import read_origins, settle_origins
from minibase.rest.errors import RestError
from minibase.rest.problems import DatabaseReport, explain
from minibase.rest.response.ranges import check_range, content_range, range_status


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("08006", 503),
        ("53300", 503),
        ("53400", 500),
        ("57P01", 503),
        ("57014", 500),
        ("23503", 409),
        ("23505", 409),
        ("23502", 400),
        ("25006", 405),
        ("25001", 500),
        ("40001", 500),
        ("42P01", 404),
        ("42883", 404),
        ("42P17", 500),
        ("42703", 400),
        ("22P02", 400),
        ("28000", 403),
        ("P0001", 400),
        ("P0002", 500),
        ("PT402", 402),
        ("XX000", 500),
        ("21000", 500),
    ],
)
def test_statuses(sqlstate: str, status: int) -> None:
    assert explain(DatabaseReport(sqlstate=sqlstate, message="m"), anonymous=True).status == status


def test_missing_rights_ask_only_the_anonymous_to_sign_in() -> None:
    report = DatabaseReport(sqlstate="42501", message="m")
    assert explain(report, anonymous=True).headers == {"WWW-Authenticate": "Bearer"}
    assert explain(report, anonymous=False).status == 403


def test_special_messages() -> None:
    refused = DatabaseReport(sqlstate="21000", message="UPDATE requires a WHERE clause")
    assert explain(refused, anonymous=True).status == 400
    unknown = DatabaseReport(sqlstate="22023", message='role "x" does not exist')
    assert explain(unknown, anonymous=False).status == 401


@pytest.mark.parametrize(
    ("message", "detail"), [("no json", "{}"), ('{"code":"X","message":"m"}', "no json"), ("[]", None)]
)
def test_a_malformed_raise_is_told(message: str, detail: str | None) -> None:
    problem = explain(DatabaseReport(sqlstate="PGRST", message=message, detail=detail), anonymous=True)
    assert (problem.status, problem.code) == (500, "PGRST121")


@pytest.mark.parametrize(
    ("offset", "page", "total", "header", "status"),
    [
        (0, 2, None, "0-1/*", 200),
        (0, 2, 2, "0-1/2", 200),
        (2, 2, 9, "2-3/9", 206),
        (0, 0, 0, "*/0", 200),
        (0, 0, None, "*/*", 200),
    ],
)
def test_ranges(offset: int, page: int, total: int | None, header: str, status: int) -> None:
    check_range(offset, total)
    assert content_range(offset, page, total) == header
    assert range_status(offset, page, total) == status


def test_a_page_beyond_the_end_is_refused() -> None:
    with pytest.raises(RestError) as error:
        check_range(5, 5)
    assert (error.value.problem.status, error.value.problem.code) == (416, "PGRST103")


def test_origins_are_those_of_the_outermost_target_list() -> None:
    tree = (
        "({QUERY :targetList ({TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname a\\} :resorigtbl 70 :resorigcol 3}"
        " {TARGETENTRY :expr {SUBLINK :subselect"
        " {QUERY :targetList ({TARGETENTRY :resno 1 :resorigtbl 99 :resorigcol 9})}}"
        " :resno 2 :resname b :resorigtbl 0 :resorigcol 0})})"
    )
    assert read_origins(tree) == {1: (70, 3)}
    assert settle_origins({70: {3: (10, 1)}, 80: {1: (70, 3)}})[80] == {1: (10, 1)}
