"""The door of this stage: request, plan and outcome become an HTTP response."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, assert_never
from urllib.parse import quote

import orjson

from minibase.rest.errors import RestError, refuse
from minibase.rest.plan.values import CallPlan, Insert, Plan, ReadPlan, WritePlan
from minibase.rest.request.values import CountMode, MediaKind, OnFunction, Request, Resolution, ReturnMode
from minibase.rest.response.outcome import Outcome
from minibase.rest.response.ranges import check_range, content_range, range_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_EMPTY: Final = b""


def check_outcome(plan: Plan, outcome: Outcome) -> None:
    """Raises RestError PGRST116 where one row was asked for and not found, PGRST124 where too many were changed."""
    limit = None if isinstance(plan, ReadPlan) else plan.max_affected
    if limit is not None and outcome.page > limit:
        raise refuse(
            400,
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            f"The query affects {outcome.page} rows",
        )
    if _wants_one_row(plan) and outcome.page != 1:
        raise refuse(
            406,
            "PGRST116",
            "Cannot coerce the result to a single JSON object",
            f"The result contains {outcome.page} rows",
        )


def needs_check(plan: Plan) -> bool:
    """Whether the outcome decides if the transaction may stand. A read changes nothing, so it need not wait."""
    return not isinstance(plan, ReadPlan) and (plan.max_affected is not None or _wants_one_row(plan))


def _wants_one_row(plan: Plan) -> bool:
    if plan.answer.media.kind is not MediaKind.OBJECT or plan.answer.returns is not ReturnMode.REPRESENTATION:
        return False
    return not isinstance(plan, CallPlan) or (plan.read is not None and plan.function.returns_set)


def respond(request: Request, plan: Plan, outcome: Outcome, *, query: str, schemas: tuple[str, ...]) -> Response:
    """Build the response.

    Raises RestError: PGRST116 and 103 from what was found, PGRST111 and 112 for unusable response settings.
    """
    check_outcome(plan, outcome)
    status, headers, body = _tell(request, plan, outcome, query)
    headers += _applied(request, plan)
    if len(schemas) > 1:
        headers.append(("Content-Profile", request.schema))
    return Response(
        status=_status_override(outcome.status) or status,
        headers=_merge(headers, _extra_headers(outcome.headers)),
        body=_EMPTY if request.head else body,
    )


def _tell(request: Request, plan: Plan, outcome: Outcome, query: str) -> tuple[int, list[tuple[str, str]], bytes]:
    match plan:
        case ReadPlan():
            status, headers = _tell_range(plan, outcome)
            headers.append(("Content-Location", _location(request, query)))
            return status, headers, outcome.body or _EMPTY
        case WritePlan():
            return _tell_write(request, plan, outcome)
        case CallPlan():
            return _tell_call(plan, outcome)
        case _ as never:
            assert_never(never)


def _tell_range(plan: ReadPlan | CallPlan, outcome: Outcome) -> tuple[int, list[tuple[str, str]]]:
    total = _total(plan, outcome)
    offset = plan.read.window.offset if plan.read else 0
    check_range(offset, total)
    headers = [
        ("Content-Type", plan.answer.media.content_type),
        ("Content-Range", content_range(offset, outcome.page, total)),
    ]
    return range_status(offset, outcome.page, total), headers


def _total(plan: ReadPlan | CallPlan, outcome: Outcome) -> int | None:
    if outcome.estimate is None:
        return outcome.total
    if plan.answer.count is CountMode.PLANNED or outcome.total is None:
        return outcome.estimate
    # Counting stopped just above the cap: beyond it the planner's guess is all there is.
    cap = plan.max_rows if isinstance(plan, ReadPlan) else None
    return max(outcome.total, outcome.estimate) if cap is not None and outcome.total > cap else outcome.total


def _tell_write(request: Request, plan: WritePlan, outcome: Outcome) -> tuple[int, list[tuple[str, str]], bytes]:
    total = outcome.page if plan.answer.count else None
    represented = plan.answer.returns is ReturnMode.REPRESENTATION
    headers: list[tuple[str, str]] = []
    if represented:
        headers.append(("Content-Type", plan.answer.media.content_type))
    if isinstance(plan.change, Insert):
        headers.append(("Content-Range", f"*/{'*' if total is None else total}"))
        headers += _new_location(request, plan, outcome)
        return _insert_status(request, plan, outcome), headers, (outcome.body or _EMPTY) if represented else _EMPTY
    headers.append(("Content-Range", content_range(0, outcome.page, total)))
    return (200, headers, outcome.body or _EMPTY) if represented else (204, headers, _EMPTY)


def _insert_status(request: Request, plan: WritePlan, outcome: Outcome) -> int:
    assert isinstance(plan.change, Insert)
    conflict = plan.change.conflict
    merged_only = (
        conflict is not None
        and conflict.resolution is Resolution.MERGE
        and outcome.page > 0
        and int(outcome.note or b"0") <= 0
    )
    if not merged_only:
        return 201
    return 204 if request.method == "PUT" and plan.answer.returns is not ReturnMode.REPRESENTATION else 200


def _new_location(request: Request, plan: WritePlan, outcome: Outcome) -> Iterator[tuple[str, str]]:
    if plan.answer.returns is not ReturnMode.HEADERS or outcome.page != 1 or not outcome.note:
        return
    values = orjson.loads(outcome.note)
    key = "&".join(
        f"{quote(name)}=eq.{quote(value)}" for name, value in zip(plan.relation.primary_key, values, strict=True)
    )
    yield "Location", f"/{quote(plan.relation.name.local)}?{key}"


def _tell_call(plan: CallPlan, outcome: Outcome) -> tuple[int, list[tuple[str, str]], bytes]:
    if plan.function.returns == "void" or plan.answer.returns is not ReturnMode.REPRESENTATION:
        return 204, [("Content-Range", content_range(0, 0, None))], _EMPTY
    status, headers = _tell_range(plan, outcome)
    body = outcome.body or _EMPTY
    if plan.answer.media.kind is MediaKind.OCTETS and body.startswith(b"\\x"):
        body = bytes.fromhex(body[2:].decode())
    return status, headers, body


def _location(request: Request, query: str) -> str:
    folder = "/rpc/" if isinstance(request.target, OnFunction) else "/"
    path = folder + quote(request.target.name)
    # The parts stay encoded as they came.
    return f"{path}?{'&'.join(sorted(query.split('&')))}" if query else path


def _applied(request: Request, plan: Plan) -> list[tuple[str, str]]:
    """Which preferences were heeded (RFC 7240 3)."""
    preferences = request.preferences
    is_insert = isinstance(plan, WritePlan) and isinstance(plan.change, Insert)
    tokens = [
        f"resolution={preferences.resolution}" if preferences.resolution and is_insert else "",
        f"missing={'default' if preferences.missing_default else 'null'}"
        if preferences.missing_default is not None and isinstance(plan, WritePlan)
        else "",
        f"return={preferences.returns}" if preferences.returns and isinstance(plan, WritePlan) else "",
        f"count={preferences.count}" if preferences.count else "",
        f"handling={'strict' if preferences.strict else 'lenient'}" if preferences.strict is not None else "",
        f"timezone={preferences.timezone}" if preferences.timezone else "",
        f"max-affected={preferences.max_affected}"
        if not isinstance(plan, ReadPlan) and plan.max_affected is not None
        else "",
    ]
    applied = ", ".join(token for token in tokens if token)
    return [("Preference-Applied", applied)] if applied else []


def _status_override(setting: bytes | None) -> int | None:
    if setting is None:
        return None
    if len(setting) == 3 and setting.isdigit() and 100 <= int(setting) <= 599:
        return int(setting)
    raise refuse(500, "PGRST112", "response.status guc must be a valid status code")


def _extra_headers(setting: bytes | None) -> list[tuple[str, str]]:
    if setting is None:
        return []
    try:
        listed: Any = orjson.loads(setting)
    except orjson.JSONDecodeError as error:
        raise _bad_headers() from error
    if not isinstance(listed, list) or not all(_is_header(each) for each in listed):
        raise _bad_headers()
    return [(name, value) for each in listed for name, value in each.items()]


def _is_header(each: object) -> bool:
    if not isinstance(each, dict) or len(each) != 1:
        return False
    [(name, value)] = each.items()
    return isinstance(value, str) and name.isascii() and name.isprintable() and not set("\r\n\0") & set(value)


def _bad_headers() -> RestError:
    return refuse(
        500,
        "PGRST111",
        "response.headers guc must be a JSON array composed of objects with a single key and a string value",
    )


def _merge(own: list[tuple[str, str]], extra: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The database's word replaces ours."""
    replaced = {name.lower() for name, _ in extra}
    return (*(each for each in own if each[0].lower() not in replaced), *extra)
