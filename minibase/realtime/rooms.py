"""Rooms: who is in which, who is present there, and what is said to everybody in one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from minibase.realtime import wire
from minibase.realtime.messages import Extension, Outgoing, Push, ServerEvent, Version
from minibase.realtime.presence import Diff, Roster
from minibase.realtime.subscribers import Room, Subscriber


class Rooms:
    """Everybody who has joined, by room. Saying something never waits."""

    def __init__(self) -> None:
        self._members: dict[Room, dict[Subscriber, None]] = {}
        self._rosters: dict[Room, Roster] = {}

    def everybody(self) -> list[Subscriber]:
        return [subscriber for members in self._members.values() for subscriber in members]

    def enter(self, subscriber: Subscriber) -> None:
        self._members.setdefault(subscriber.room, {})[subscriber] = None

    def hand_over(self, former: Subscriber, subscriber: Subscriber) -> None:
        """The same channel under new claims: in its place, and no less present."""
        self.enter(subscriber)
        self._members[former.room].pop(former, None)

    def leave(self, subscriber: Subscriber) -> None:
        members = self._members.get(subscriber.room, {})
        if subscriber in members:
            del members[subscriber]
            self.untrack(subscriber)
        if not members:
            self._members.pop(subscriber.room, None)

    def broadcast(
        self, room: Room, message: Outgoing, *, sender: Subscriber | None = None, message_id: str | None = None
    ) -> None:
        """Say it to everybody in the room who may hear it; to the sender only if it asked for its own."""
        peers = (
            peer
            for peer in self._members.get(room, ())
            if Extension.BROADCAST in peer.readable and (peer is not sender or peer.wants_own_broadcasts)
        )
        for peer, frame in _encoded(message, peers):
            peer.hear(frame, message_id)

    def track(self, subscriber: Subscriber, payload: Mapping[str, Any]) -> None:
        """The channel is present from now on, and hears who else is."""
        if not subscriber.hears_presence:
            subscriber.hears_presence = True
            self.show_presence(subscriber)
        roster = self._rosters.setdefault(subscriber.room, Roster())
        ref = secrets.token_urlsafe(9)
        self._announce(subscriber.room, roster.track(subscriber.outlet, subscriber.presence_key, payload, ref))

    def untrack(self, subscriber: Subscriber) -> None:
        roster = self._rosters.get(subscriber.room)
        if roster is None:
            return
        diff = roster.untrack(subscriber.outlet)
        if roster.is_empty:
            del self._rosters[subscriber.room]
        self._announce(subscriber.room, diff)

    def show_presence(self, subscriber: Subscriber) -> None:
        """Tell the channel who is present."""
        if Extension.PRESENCE in subscriber.readable:
            state = self._rosters.get(subscriber.room, Roster()).state()
            subscriber.outlet.send(Push(topic=subscriber.topic, event=ServerEvent.PRESENCE_STATE, payload=state))

    def _announce(self, room: Room, diff: Diff | None) -> None:
        if diff is None:
            return
        message = Push(topic=room.topic, event=ServerEvent.PRESENCE_DIFF, payload=diff.payload())
        peers = (
            peer for peer in self._members.get(room, ()) if peer.hears_presence and Extension.PRESENCE in peer.readable
        )
        for peer, frame in _encoded(message, peers):
            peer.outlet.send_frame(frame)


def _encoded(message: Outgoing, peers: Iterable[Subscriber]) -> Iterable[tuple[Subscriber, str | bytes]]:
    """Each peer with its frame: one encoding per framing, however many peers."""
    frames: dict[Version, str | bytes | None] = {}
    for peer in peers:
        if peer.version not in frames:
            frames[peer.version] = wire.encode(peer.version, message)
        frame = frames[peer.version]
        if frame is not None:
            yield peer, frame
