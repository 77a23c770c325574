"""The payload of a join, parsed once. Malformed parts fall back to their defaults, as clients rely on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minibase.realtime import bindings
from minibase.realtime.bindings import Binding, BindingError

MAX_REPLAYED = 25
WAIT_S, MAX_WAIT_S = 15.0, 20.0
LATEST_MS = 253_402_300_799_999  # the end of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Which older broadcasts to repeat: the newest `limit` since a moment, in milliseconds since 1970."""

    since_ms: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What a channel wants. `echoes` answers the requested bindings; `problem` says why they cannot be parsed.

    With `wait_s` the join is to be refused where its bindings do not stand within so many seconds.
    """

    token: str | None
    private: bool
    self_broadcast: bool
    acknowledge: bool
    presence_key: str
    presence_enabled: bool
    bindings: tuple[Binding, ...]
    echoes: tuple[dict[str, Any], ...]
    problem: str | None
    wait_s: float | None
    replication_ready: bool = False
    replay: Replay | None = None
    replay_problem: str | None = None


def parse(payload: dict[str, Any]) -> Join:
    config = _object(payload.get("config"))
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    entries = config.get("postgres_changes")
    entries = entries if isinstance(entries, list) else []
    parsed, problem = _bindings(entries)
    key = presence.get("key")
    replay, replay_problem = _replay(broadcast.get("replay"), private=_truth(config.get("private")))
    return Join(
        token=usable_token(payload.get("access_token") or payload.get("user_token")),
        private=_truth(config.get("private")),
        self_broadcast=_truth(broadcast.get("self")),
        acknowledge=_truth(broadcast.get("ack")),
        presence_key=key if isinstance(key, str) else "",
        presence_enabled=_truth(presence.get("enabled")),
        bindings=parsed,
        echoes=tuple(bindings.echo(entry) for entry in entries),
        problem=problem,
        wait_s=_wait(_object(config.get("postgres_changes_options"))),
        replication_ready=_truth(broadcast.get("replication_ready")),
        replay=replay,
        replay_problem=replay_problem,
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


def _replay(value: Any, *, private: bool) -> tuple[Replay | None, str | None]:
    """What to replay, or in the words clients know why nothing can be."""
    if value is None:
        return None, None
    if not private:
        return None, "UnableToReplayMessages: Replay is not allowed for public channels"
    fields = _object(value)
    since, limit = fields.get("since"), fields.get("limit", MAX_REPLAYED)
    since_ms, count = _count(since), _count(limit)
    if since_ms is None or count is None:
        return None, "UnableToReplayMessages: Replay params are not valid"
    return Replay(since_ms=since_ms, limit=min(count, MAX_REPLAYED)), None


def _wait(options: dict[str, Any]) -> float | None:
    if not _truth(options.get("wait")):
        return None
    timeout_ms = _count(options.get("timeout"))
    return WAIT_S if not timeout_ms else min(timeout_ms / 1000, MAX_WAIT_S)


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LATEST_MS
    return value if is_count else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _truth(value: Any) -> bool:
    return value is True or value == "true"
