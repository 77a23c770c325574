"""Errors as PostgREST words them: a stable code, an HTTP status and four keys of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the client is told. `details` is text, except for ambiguous names, where it lists the candidates."""

    status: int
    code: str
    message: str
    details: str | list[dict[str, str]] | None = None
    hint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The JSON both official clients turn into their API error; all four keys are always there."""
        document: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
        }
        return orjson.dumps(document)


class RestError(Exception):
    """A request that ends in a problem instead of rows; raised by every stage, rendered once by the app."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def refuse(
    status: int,
    code: str,
    message: str,
    details: str | list[dict[str, str]] | None = None,
    *,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> RestError:
    """Build the error to raise, as in `raise refuse(400, "PGRST100", ...)`."""
    return RestError(
        Problem(status=status, code=code, message=message, details=details, hint=hint, headers=headers or {})
    )


def unparsable(what: str, text: str, position: int, expectation: str) -> RestError:
    """PGRST100: `what` of the query string cannot be read; `position` counts characters from 0."""
    shown = text if len(text) <= 200 else text[:200] + "..."
    return refuse(400, "PGRST100", f'"failed to parse {what} ({shown})" (line 1, column {position + 1})', expectation)
