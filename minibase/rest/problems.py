"""What Postgres reports becomes what the client is told: PostgREST's table of SQLSTATEs, and errors raised by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from minibase.rest.errors import Problem

_STATUS: Final = {
    "53400": 500,
    "57P01": 503,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42P17": 500,
    "42P01": 404,
    "42883": 404,
    "P0001": 400,
    "21000": 500,
}
_CLASS_STATUS: Final = {
    "08": 503,
    "53": 503,
    "0L": 403,
    "0P": 403,
    "28": 403,
    **dict.fromkeys(("25", "09", "2D", "38", "39", "3B", "40", "54", "55", "57", "58", "F0", "HV", "P0", "XX"), 500),
}
_UNKNOWN_ROLE: Final = re.compile(r'role "[^"]*" does not exist')
_RAISED_STATUS: Final = re.compile(r"PT([1-5]\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReport:
    """The fields of an error message of Postgres that matter here."""

    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


def explain(report: DatabaseReport, *, anonymous: bool) -> Problem:
    """The problem to answer with. Only an anonymous caller is told that signing in (401) may help."""
    if report.sqlstate == "PGRST":
        return _explain_raised_json(report)
    status = _status(report, anonymous=anonymous)
    return Problem(
        status=status,
        code=report.sqlstate,
        message=report.message,
        details=report.detail,
        hint=report.hint,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else {},
    )


def _status(report: DatabaseReport, *, anonymous: bool) -> int:
    raised = _RAISED_STATUS.fullmatch(report.sqlstate)
    if raised:
        return int(raised.group(1))
    if report.sqlstate == "42501":
        return 401 if anonymous else 403
    if report.sqlstate == "22023" and _UNKNOWN_ROLE.search(report.message):
        return 401
    if report.sqlstate == "21000" and report.message.endswith("requires a WHERE clause"):
        return 400
    return _STATUS.get(report.sqlstate) or _CLASS_STATUS.get(report.sqlstate[:2], 400)


def _explain_raised_json(report: DatabaseReport) -> Problem:
    """`RAISE SQLSTATE 'PGRST'` with JSON in MESSAGE and DETAIL controls the whole answer."""
    message, detail = _object(report.message), _object(report.detail)
    if message is None or not _is_text(message, "code", "message"):
        return _bad_raise("MESSAGE", report.message, "code, message, details and hint")
    if detail is None or not isinstance(detail.get("status"), int) or not isinstance(detail.get("headers", {}), dict):
        return _bad_raise("DETAIL", report.detail, "status (a number) and headers (an object of texts)")
    return Problem(
        status=detail["status"],
        code=message["code"],
        message=message["message"],
        details=message.get("details"),
        hint=message.get("hint"),
        headers={str(name): str(value) for name, value in detail.get("headers", {}).items()},
    )


def _object(text: str | None) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _is_text(of: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(of.get(key), str) for key in keys)


def _bad_raise(part: str, value: str | None, expected: str) -> Problem:
    return Problem(
        status=500,
        code="PGRST121",
        message=f"Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error: {part} is not a valid object",
        details=f"Invalid JSON value for {part}: '{value or ''}'",
        hint=f"{part} must be a JSON object with {expected}.",
    )
