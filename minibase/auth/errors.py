"""Refusals of the Auth API, and the two forms a client may ask for them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

API_VERSION_HEADER = "x-supabase-api-version"
ERROR_CODE_HEADER = "x-sb-error-code"
CODES_IN_BODY_SINCE = date(2024, 1, 1)


class AuthError(Exception):
    """A refusal with GoTrue's status, code and sentence; `extra` joins the body (reasons of a weak password)."""

    def __init__(self, status: int, code: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra: Mapping[str, object] = extra


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedError:
    """An error as it goes over the wire."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def render_error(error: AuthError, api_version: str | None) -> RenderedError:
    """The body in the form of the API version asked for; clients trust `code` only where the version is echoed."""
    headers = {ERROR_CODE_HEADER: error.code}
    if api_version is not None and _puts_codes_in_body(api_version):
        body = {"code": error.code, "message": error.message, **error.extra}
        return RenderedError(status=error.status, body=body, headers={**headers, API_VERSION_HEADER: api_version})
    body = {"code": error.status, "error_code": error.code, "msg": error.message, **error.extra}
    return RenderedError(status=error.status, body=body, headers=headers)


def _puts_codes_in_body(api_version: str) -> bool:
    try:
        return date.fromisoformat(api_version) >= CODES_IN_BODY_SINCE
    except ValueError:
        return False


def validation_failed(message: str) -> AuthError:
    return AuthError(400, "validation_failed", message)


def invalid_credentials() -> AuthError:
    """One answer for an unknown user, a wrong password and a user without one: none tells who has an account."""
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def bad_jwt(why: str) -> AuthError:
    return AuthError(403, "bad_jwt", f"invalid JWT: {why}")


def user_not_found() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")


def too_many_requests(what: str) -> AuthError:
    return AuthError(429, "over_request_rate_limit", f"Request rate limit reached: {what}")
