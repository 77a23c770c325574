"""The payload of a join, parsed once. Malformed parts fall back to their defaults, as clients rely on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minibase.realtime import bindings
from minibase.realtime.bindings import Binding, BindingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What a channel wants. `echoes` answers the requested bindings; `problem` says why they cannot be parsed."""

    token: str | None
    private: bool
    self_broadcast: bool
    acknowledge: bool
    presence_key: str
    presence_enabled: bool
    bindings: tuple[Binding, ...]
    echoes: tuple[dict[str, Any], ...]
    problem: str | None
    wait: bool


def parse(payload: dict[str, Any]) -> Join:
    config = _object(payload.get("config"))
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    entries = config.get("postgres_changes")
    entries = entries if isinstance(entries, list) else []
    parsed, problem = _bindings(entries)
    key = presence.get("key")
    return Join(
        token=usable_token(payload.get("access_token", payload.get("user_token"))),
        private=_truth(config.get("private")),
        self_broadcast=_truth(broadcast.get("self")),
        acknowledge=_truth(broadcast.get("ack")),
        presence_key=key if isinstance(key, str) else "",
        presence_enabled=_truth(presence.get("enabled")),
        bindings=parsed,
        echoes=tuple(bindings.echo(entry) for entry in entries),
        problem=problem,
        wait=_truth(_object(config.get("postgres_changes_options")).get("wait")),
    )


def usable_token(value: Any) -> str | None:
    """A token that replaces the connection's own; API keys of the new style are none."""
    return value if isinstance(value, str) and value and not value.startswith("sb_") else None


def _bindings(entries: list[Any]) -> tuple[tuple[Binding, ...], str | None]:
    """All bindings or none: those of one channel stand or fall together."""
    try:
        return tuple(bindings.parse(entry) for entry in entries), None
    except BindingError as error:
        return (), str(error)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _truth(value: Any) -> bool:
    return value is True or value == "true"
