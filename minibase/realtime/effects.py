"""What a socket's protocol wants done, and what it is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from minibase.realtime.joins import Join
from minibase.realtime.limits import Window
from minibase.realtime.messages import Broadcast, CloseCode, Extension, Outgoing
from minibase.realtime.persistence import Persist
from minibase.realtime.tokens import Claims


class Phase(Enum):
    JOINING = auto()
    JOINED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    topic: str
    join_ref: str | None
    join_message_ref: str | None
    join: Join
    token: str
    claims: Claims
    presence_calls: Window
    phase: Phase = Phase.JOINING


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Say this on the socket."""

    message: Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Make the channel's bindings stand with its claims, then report with `stood`. Also repeats it for new claims."""

    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Nothing more reaches this channel."""

    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """Say this to everybody in the channel's room, the channel itself only if it asked for that."""

    channel: Channel
    message: Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Say it as `FanOut` does and keep it for replays, then report with `stored`."""

    channel: Channel
    message: Broadcast
    persist: Persist
    ref: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The channel is present with this payload."""

    topic: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrack:
    """The channel is present no more."""

    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPresence:
    """Tell the channel who is present."""

    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Repeat the older broadcasts the channel asked for, before any newer one."""

    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class IfWritable:
    """These effects where the channel's policies allow it to write this; else the others."""

    topic: str
    extension: Extension
    effects: tuple[Effect, ...]
    otherwise: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """End the socket once what was said before is sent."""

    reason: str
    code: CloseCode = CloseCode.TRY_LATER


Effect: TypeAlias = (
    "Send | Subscribe | Unsubscribe | FanOut | Store | Track | Untrack | ShowPresence | Replay | IfWritable"
    " | Disconnect"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """The subscription stands: every change committed from here on reaches the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It does not stand, for a reason the subscriber can read."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The database cannot be asked now; the client should try again. `reason` carries the code it looks for."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """No policy lets these claims read the private channel."""

    reason: str


Outcome = Stood | Failed | Unavailable | Denied
