"""The values that cross the wire, independent of the framing they came in or will leave by.

Source: Phoenix channels, serializer versions 1.0.0 and 2.0.0, and Realtime's two binary broadcast kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

PHOENIX = "phoenix"
PREFIX = "realtime:"


class Version(StrEnum):
    """How one socket frames its messages; chosen by the client with `vsn`."""

    V1 = "1.0.0"
    V2 = "2.0.0"


class ClientEvent(StrEnum):
    JOIN = "phx_join"
    LEAVE = "phx_leave"
    HEARTBEAT = "heartbeat"
    ACCESS_TOKEN = "access_token"
    BROADCAST = "broadcast"
    PRESENCE = "presence"


class ServerEvent(StrEnum):
    REPLY = "phx_reply"
    CLOSE = "phx_close"
    ERROR = "phx_error"
    SYSTEM = "system"
    BROADCAST = "broadcast"
    POSTGRES_CHANGES = "postgres_changes"
    PRESENCE_STATE = "presence_state"
    PRESENCE_DIFF = "presence_diff"


class Extension(StrEnum):
    """What of a private channel a policy on `realtime.messages` decides, in its column of that name."""

    BROADCAST = "broadcast"
    PRESENCE = "presence"
    PERSISTENCE = "persistence"


HEARD = frozenset({Extension.BROADCAST, Extension.PRESENCE})


class Encoding(IntEnum):
    """What the body of a binary broadcast is."""

    RAW = 0
    JSON = 1


class CloseCode(IntEnum):
    """Why the server ends a socket. Clients reconnect after each of these."""

    GOING_AWAY = 1001
    RESTART = 1012
    TRY_LATER = 1013


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFrame:
    """A client's message from a text frame of either version."""

    topic: str
    event: str
    payload: dict[str, Any]
    ref: str | None = None
    join_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryBroadcast:
    """A client's broadcast from a binary frame of kind 3; `body` is JSON text or raw bytes as `encoding` says."""

    topic: str
    event: str
    body: bytes
    encoding: Encoding
    metadata: Mapping[str, Any] = field(default_factory=dict)
    ref: str | None = None
    join_ref: str | None = None


Incoming = TextFrame | BinaryBroadcast


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Anything the server says in a text frame; `payload` is what orjson can serialise, fragments included."""

    topic: str
    event: ServerEvent
    payload: Any
    ref: str | None = None
    join_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """A broadcast whose body arrived encoded: kind 4 for version 2.0.0, a JSON object for 1.0.0.

    `meta` says which row of `realtime.messages` it was, if it was one.
    """

    topic: str
    event: str
    body: bytes
    encoding: Encoding
    meta: Mapping[str, Any] = field(default_factory=dict)


Outgoing = Push | Broadcast


def reply_ok(topic: str, ref: str | None, join_ref: str | None, response: Mapping[str, Any] | None = None) -> Push:
    payload = {"status": "ok", "response": response or {}}
    return Push(topic=topic, event=ServerEvent.REPLY, payload=payload, ref=ref, join_ref=join_ref)


def reply_error(topic: str, ref: str | None, join_ref: str | None, response: Mapping[str, Any]) -> Push:
    payload = {"status": "error", "response": response}
    return Push(topic=topic, event=ServerEvent.REPLY, payload=payload, ref=ref, join_ref=join_ref)


def system(topic: str, *, ok: bool, message: str, extension: str = "postgres_changes") -> Push:
    """The notice that tells a channel how its subscription, or its token, fares."""
    payload = {
        "channel": topic.removeprefix(PREFIX),
        "extension": extension,
        "status": "ok" if ok else "error",
        "message": message,
    }
    return Push(topic=topic, event=ServerEvent.SYSTEM, payload=payload)


def close(topic: str, join_ref: str | None) -> Push:
    """The end of a channel. Its reference is the join's, in both places."""
    return Push(topic=topic, event=ServerEvent.CLOSE, payload={}, ref=join_ref, join_ref=join_ref)
