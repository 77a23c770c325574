"""The `Prefer` header (RFC 7240) with PostgREST's tokens."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

from minibase.rest.errors import refuse
from minibase.rest.request.values import CountMode, Preferences, Resolution, ReturnMode

_Choice = TypeVar("_Choice", bound=StrEnum)
_NONE: Final = Preferences()
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "return": tuple(ReturnMode),
    "count": tuple(CountMode),
    "resolution": tuple(Resolution),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
    "tx": ("commit", "rollback"),
}


def parse_preferences(headers: Iterable[str]) -> Preferences:
    """Read every `Prefer` header of a request; of a repeated token the first counts.

    Raises RestError PGRST122 under `handling=strict` when a token is not known.
    """
    joined = ",".join(headers)
    return _parse(joined) if joined else _NONE


@lru_cache(maxsize=256)
def _parse(joined: str) -> Preferences:
    wanted: dict[str, str] = {}
    for token in joined.split(","):
        key, _, value = token.strip().partition("=")
        if key:
            wanted.setdefault(key.strip().lower(), value.strip().strip('"'))
    unknown = [f"{key}={value}" if value else key for key, value in wanted.items() if not _is_known(key, value)]
    strict = {"strict": True, "lenient": False}.get(wanted.get("handling", ""))
    if strict and unknown:
        raise refuse(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            f"Invalid preferences: {', '.join(unknown)}",
        )
    return Preferences(
        returns=_member(ReturnMode, wanted.get("return")),
        count=_member(CountMode, wanted.get("count")),
        resolution=_member(Resolution, wanted.get("resolution")),
        missing_default={"default": True, "null": False}.get(wanted.get("missing", "")),
        strict=strict,
        max_affected=_whole_number(wanted.get("max-affected", "")),
        timezone=wanted.get("timezone") or None,
    )


def _is_known(key: str, value: str) -> bool:
    if key == "max-affected":
        return _whole_number(value) is not None
    if key == "timezone":
        return bool(value)
    return value in _CHOICES.get(key, ())


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _member(kind: type[_Choice], value: str | None) -> _Choice | None:
    return next((member for member in kind if member.value == value), None)
