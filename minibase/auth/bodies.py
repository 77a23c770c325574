"""What callers may send to the Auth API: each body as a checked value."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from minibase.auth.errors import AuthError, validation_failed

MAXIMUM_BODY_BYTES = 1_048_576
MAXIMUM_EMAIL_LENGTH = 255  # the column's

# The address form of HTML's e-mail field: what browsers accept, without quoting or comments.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_BAN_SECONDS = 100 * 365 * 24 * 3600

Body = TypeVar("Body", bound=BaseModel)


def normal_email(value: str) -> str:
    """The address in small letters. Raises ValueError for what is not an address."""
    email = value.strip().lower()
    if len(email) > MAXIMUM_EMAIL_LENGTH or not _EMAIL.fullmatch(email):
        raise ValueError("Unable to validate email address: invalid format")
    return email


def parse_ban(value: str) -> timedelta | None:
    """How long a ban lasts, from a duration as Go writes it (`24h`, `1h30m`); None for `none`, which lifts it."""
    if value == "none":
        return None
    if not _DURATION.fullmatch(value):
        raise ValueError(f"invalid format for ban duration: {value[:40]!r}; write for example 24h, 1h30m or none")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    if seconds > _LONGEST_BAN_SECONDS:
        raise ValueError(f"ban duration {value[:40]!r} is longer than a hundred years")
    return timedelta(seconds=seconds)


def _absent_if_empty(value: str | None) -> str | None:
    return normal_email(value) if value else None


Email = Annotated[str | None, AfterValidator(_absent_if_empty)]
Metadata = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class SignUp(_Strict):
    email: Email = None
    phone: str | None = None
    password: str | None = Field(default=None, repr=False)
    data: Metadata | None = None


class PasswordGrant(_Strict):
    email: str | None = None
    phone: str | None = None
    password: str = Field(default="", repr=False)


class RefreshGrant(_Strict):
    refresh_token: str = Field(default="", repr=False)


class UserChange(_Strict):
    email: Email = None
    password: str | None = Field(default=None, repr=False)
    data: Metadata | None = None


class AdminUser(_Strict):
    """The fields an administrator may set, at creation and later; None means: leave alone."""

    id: str | None = None
    email: Email = None
    phone: str | None = None
    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)
    email_confirm: bool | None = None
    user_metadata: Metadata | None = None
    app_metadata: Metadata | None = None
    role: str | None = Field(default=None, max_length=255)
    ban_duration: str | None = None


class Deletion(_Strict):
    should_soft_delete: bool = False


def parse_body(model: type[Body], raw: bytes) -> Body:
    """The body as a value of `model`; an empty body counts as `{}`. Raises AuthError that names the field at fault."""
    try:
        value = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise AuthError(400, "bad_json", f"Could not parse request body as JSON: {error}") from error
    if not isinstance(value, dict):
        raise AuthError(400, "bad_json", "Could not parse request body as JSON: it is not an object")
    if b"\\u0000" in raw and _holds_nul(value):
        raise validation_failed("The character U+0000 cannot be stored; remove it from the request body.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise validation_failed(_first_fault(error)) from error


def parse_user_id(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise AuthError(404, "validation_failed", "user_id must be an UUID") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"


def _holds_nul(value: object) -> bool:
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str) and "\0" in item:
            return True
        if isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
    return False
