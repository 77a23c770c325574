"""One channel of one socket, as those see it who have something to tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from minibase.realtime import messages
from minibase.realtime.bindings import Binding
from minibase.realtime.filters import PATTERN_OPERATORS, Filter
from minibase.realtime.matching import Cohort
from minibase.realtime.messages import HEARD, CloseCode, Extension, Outgoing, Version
from minibase.realtime.snapshots import Snapshot
from minibase.realtime.tokens import Claims

LaneKey: TypeAlias = tuple[str, frozenset[Filter]]
MAX_WAITING_CHANGES = 20_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


class Outlet(Protocol):
    """Where a subscriber's frames go. Never blocks; one that cannot keep up closes itself."""

    def send(self, message: Outgoing) -> None: ...

    def send_frame(self, frame: str | bytes) -> None: ...

    def close(self, code: CloseCode, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Who broadcasts to whom. The public and the private channels of one topic are two rooms."""

    topic: str
    private: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Subscriber:
    """One channel of one socket. Changes are held until `release`, so that the join's answer comes first.

    `readable` is what a private channel's policies let it hear; `writable` what they let it say, as far as was asked.
    """

    room: Room
    version: Version
    claims: Claims
    bindings: tuple[Binding, ...]
    wants_own_broadcasts: bool
    presence_key: str
    hears_presence: bool
    outlet: Outlet
    readable: frozenset[Extension] = HEARD
    writable: dict[Extension, bool] = field(default_factory=dict)
    since: Snapshot | None = None
    until: Snapshot | None = None
    _held: list[tuple[int, str]] | None = field(default_factory=list)
    _unheard: list[tuple[str | None, str | bytes]] | None = None
    _waiting_bytes: int = 0
    _replayed: frozenset[str] = frozenset()

    @property
    def topic(self) -> str:
        return self.room.topic

    @property
    def cohort(self) -> Cohort:
        return Cohort(topic=self.topic, version=self.version, bindings=self.bindings)

    @property
    def lane(self) -> LaneKey:
        """Whose changes are decided together with this channel's."""
        patterns = (each for binding in self.bindings for each in binding.filters if each.operator in PATTERN_OPERATORS)
        return self.claims.text, frozenset(patterns)

    @property
    def holds(self) -> bool:
        """Whether changes still wait for `release`."""
        return self._held is not None

    @property
    def needs_stream(self) -> bool:
        """Whether a gap in the stream is a gap in what this channel hears: private rooms live by the database."""
        return bool(self.bindings) or self.room.private

    def offer(self, xid: int, frame: str) -> None:
        """A change of this transaction, to be sent if it committed while the subscription stood."""
        if self._held is not None:
            self._held.append((xid, frame))
            self._bound(len(self._held), frame, "too many changes while joining")
        elif not (self.since is not None and self.since.sees(xid)) and (self.until is None or self.until.sees(xid)):
            self.outlet.send_frame(frame)

    def release(self) -> None:
        """The join has been answered: send what was held, and everything from here on at once."""
        held, self._held, self._waiting_bytes = self._held or [], None, 0
        for xid, frame in held:
            self.offer(xid, frame)

    def hear(self, frame: str | bytes, message_id: str | None = None) -> None:
        """A broadcast; one that was replayed is not sent again."""
        if self._unheard is not None:
            self._unheard.append((message_id, frame))
            self._bound(len(self._unheard), frame, "too many broadcasts while older ones are replayed")
        elif message_id is None or message_id not in self._replayed:
            self.outlet.send_frame(frame)

    def hold_broadcasts(self) -> None:
        """Older broadcasts are being fetched: newer ones wait for `replay`."""
        self._unheard = []

    def replay(self, frames: dict[str, str | bytes]) -> None:
        """Send older broadcasts, by the id of their message, then what came meanwhile."""
        for frame in frames.values():
            self.outlet.send_frame(frame)
        self._replayed = frozenset(frames)
        held, self._unheard, self._waiting_bytes = self._unheard or [], None, 0
        for message_id, frame in held:
            self.hear(frame, message_id)

    def _bound(self, waiting: int, frame: str | bytes, reason: str) -> None:
        """One more frame waits: a socket that would have to be sent too many comes back instead."""
        self._waiting_bytes += len(frame)
        if waiting > MAX_WAITING_CHANGES or self._waiting_bytes > MAX_WAITING_BYTES:
            self._held = None if self._held is None else []
            self._unheard = None if self._unheard is None else []
            self.outlet.close(CloseCode.TRY_LATER, reason)

    def complain(self, message: str) -> None:
        self.outlet.send(messages.system(self.topic, ok=False, message=message))
