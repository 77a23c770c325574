"""The life of one socket's channels, without a socket: a message in, effects out.

A channel is absent, joining (its subscription is being made to stand, see `stood`) or joined:

    absent  --phx_join-->  joining  --stood-->  joined  --phx_leave, expiry, bad token-->  absent

The shell carries out effects in order and handles the next message only afterwards, so a join is answered before
anything that follows it on the same socket.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

import orjson

from minibase.realtime import joins, messages, persistence, tokens
from minibase.realtime.effects import (
    Channel,
    Denied,
    Disconnect,
    Effect,
    Failed,
    FanOut,
    IfWritable,
    Outcome,
    Phase,
    Replay,
    Send,
    ShowPresence,
    Stood,
    Store,
    Subscribe,
    Track,
    Unavailable,
    Unsubscribe,
    Untrack,
)
from minibase.realtime.joins import Join
from minibase.realtime.limits import Limits, Rates, Window
from minibase.realtime.messages import (
    PHOENIX,
    PREFIX,
    BinaryBroadcast,
    Broadcast,
    ClientEvent,
    CloseCode,
    Extension,
    Incoming,
    Outgoing,
    Push,
    ServerEvent,
    TextFrame,
)
from minibase.realtime.tokens import RefusedTokenError, Verify

SUBSCRIBED = "Subscribed to PostgreSQL"
TOO_MANY_JOINS = "ClientJoinRateLimitReached: Too many joins per second"
REPLICATING = "Replication connection established"
ALONE = "no channel has been joined for too long"


class Protocol:
    """One socket's state. `verify` turns a token into claims; `now` is seconds since the epoch, always an argument.

    `rates` are counted by all sockets of a service together; the socket was `opened` at that time.
    """

    def __init__(
        self, *, token: str, verify: Verify, limits: Limits, rates: Rates | None = None, opened: float = 0.0
    ) -> None:
        self._token = token
        self._verify = verify
        self._limits = limits
        self._rates = rates or Rates(limits)
        self._channels: dict[str, Channel] = {}
        self._alone_since: float | None = opened

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(self._channels.values())

    @property
    def next_expiry(self) -> float | None:
        """When `expire` has something to do next, if ever."""
        if self._channels:
            return min(channel.claims.expires_at for channel in self._channels.values())
        return (
            None if self._alone_since is None or not self._limits.alone_s else self._alone_since + self._limits.alone_s
        )

    def receive(self, message: Incoming, now: float) -> list[Effect]:
        """What a message of the client makes us do."""
        effects = self._receive(message, now)
        self._notice_solitude(now)
        return effects

    def _receive(self, message: Incoming, now: float) -> list[Effect]:
        match message:
            case BinaryBroadcast():
                return self._in_channel(message, now)
            case TextFrame(topic=messages.PHOENIX):
                return self._phoenix(message)
            case TextFrame(event=ClientEvent.JOIN):
                return self._join(message, now)
            case TextFrame():
                return self._in_channel(message, now)
            case _:
                assert_never(message)

    def stood(self, channel: Channel, outcome: Outcome) -> list[Effect]:
        """What became of a `Subscribe`; stale if the channel has been left or joined anew since."""
        current = self._channels.get(channel.topic)
        if current is None or current.join_ref != channel.join_ref:
            return []
        if current.phase is Phase.JOINED:
            return self._renewed(current, outcome)
        refused = _refusal_of(channel.join, outcome)
        if refused is not None:
            del self._channels[channel.topic]
            return [Unsubscribe(topic=channel.topic), _refuse(channel, refused)]
        self._channels[channel.topic] = replace(current, phase=Phase.JOINED)
        response = {"postgres_changes": channel.join.echoes}
        accepted = messages.reply_ok(channel.topic, channel.join_message_ref, channel.join_ref, response)
        presence: list[Effect] = [ShowPresence(topic=channel.topic)] if channel.join.presence_enabled else []
        replay: list[Effect] = [Replay(channel=channel)] if channel.join.replay is not None else []
        return [Send(message=accepted), *presence, *replay, *self._notice(current, outcome)]

    def _renewed(self, channel: Channel, outcome: Outcome) -> list[Effect]:
        """What becomes of a channel under its new claims. Where nobody can say, its client must come back and ask."""
        match outcome:
            case Denied(reason=reason):
                return self._end(channel, reason)
            case Unavailable(reason=reason):
                return [*self._notice(channel, outcome), Disconnect(reason=reason, code=CloseCode.RESTART)]
            case _:
                return self._notice(channel, outcome)

    def stored(self, channel: Channel, ref: str | None, message_id: str, problem: str | None) -> list[Effect]:
        """What became of a `Store`: said by now in any case, and kept under this id where there was no problem."""
        if not channel.join.acknowledge:
            return []
        if problem is None:
            return [Send(message=messages.reply_ok(channel.topic, ref, channel.join_ref, {"id": message_id}))]
        return [Send(message=messages.reply_error(channel.topic, ref, channel.join_ref, {"error": problem}))]

    def expire(self, now: float) -> list[Effect]:
        """The end of every channel whose token has run out, and of a socket that has had no channel for too long."""
        if self._alone_since is not None and self.next_expiry is not None and self.next_expiry <= now:
            return [Disconnect(reason=ALONE, code=CloseCode.GOING_AWAY)]
        over = [channel for channel in self.channels if channel.claims.expires_at <= now]
        effects = [
            effect for channel in over for effect in self._end(channel, tokens.expired(channel.claims.expires_at, now))
        ]
        self._notice_solitude(now)
        return effects

    def _notice_solitude(self, now: float) -> None:
        if self._channels:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now

    # -- messages of the socket itself

    def _phoenix(self, frame: TextFrame) -> list[Effect]:
        if frame.event != ClientEvent.HEARTBEAT:
            return [_unmatched(frame)]
        return [Send(message=messages.reply_ok(PHOENIX, frame.ref, frame.join_ref))]

    # -- joining

    def _join(self, frame: TextFrame, now: float) -> list[Effect]:
        if not self._rates.joins.allows(now):
            reason = {"reason": TOO_MANY_JOINS}
            reply = messages.reply_error(frame.topic, frame.ref, frame.join_ref or frame.ref, reason)
            return [Send(message=reply), Disconnect(reason=TOO_MANY_JOINS)]
        effects = self._replace_former(frame.topic)
        # Python sends no join_ref of its own in some versions: the join's ref is then its name.
        join_ref = frame.join_ref or frame.ref
        try:
            channel = self._admit(frame, join_ref, now)
        except JoinError as refused:
            reply = messages.reply_error(frame.topic, frame.ref, join_ref, {"reason": str(refused)})
            return [*effects, Send(message=reply)]
        self._channels[channel.topic] = channel
        return [*effects, Subscribe(channel=channel)]

    def _replace_former(self, topic: str) -> list[Effect]:
        former = self._channels.pop(topic, None)
        if former is None:
            return []
        return [Unsubscribe(topic=topic), Send(message=messages.close(topic, former.join_ref))]

    def _admit(self, frame: TextFrame, join_ref: str | None, now: float) -> Channel:
        if not frame.topic.startswith(PREFIX):
            raise JoinError(f"unmatched topic: {frame.topic!r} does not begin with {PREFIX!r}")
        if frame.topic == PREFIX:
            raise JoinError("TopicNameRequired: You must provide a topic name")
        if len(self._channels) >= self._limits.channels:
            raise JoinError("ChannelRateLimitReached: Too many channels")
        join = joins.parse(frame.payload)
        if self._limits.private_only and not join.private:
            raise JoinError("PrivateOnly: This project only allows private channels")
        token = join.token or self._token
        try:
            claims = self._verify(token)
        except RefusedTokenError as refused:
            raise JoinError(str(refused)) from refused
        if claims.expires_at <= now:
            raise JoinError(f"InvalidJWTToken: {tokens.expired(claims.expires_at, now)}")
        if join.replay_problem is not None:
            raise JoinError(join.replay_problem)
        return Channel(
            topic=frame.topic,
            join_ref=join_ref,
            join_message_ref=frame.ref,
            join=join,
            token=token,
            claims=claims,
            presence_calls=Window(self._limits.presence_calls, self._limits.presence_window_s),
        )

    def _notice(self, channel: Channel, outcome: Outcome) -> list[Effect]:
        match outcome:
            case Stood():
                return _standing(channel)
            case Failed(message=message) | Unavailable(reason=message) | Denied(reason=message):
                return [Send(message=messages.system(channel.topic, ok=False, message=message))]
            case _:
                assert_never(outcome)

    # -- messages of a channel

    def _in_channel(self, frame: Incoming, now: float) -> list[Effect]:
        channel = self._channels.get(frame.topic)
        if channel is None:
            return [_absent(frame)]
        if frame.join_ref not in (None, channel.join_ref):
            return []  # meant for an earlier join of this topic
        if isinstance(frame, BinaryBroadcast):
            return self._counted(channel, now) or self._broadcast_binary(channel, frame)
        return self._act(channel, frame, now)

    def _counted(self, channel: Channel, now: float) -> list[Effect]:
        """One more broadcast; the end of the channel where that is too many."""
        return [] if self._rates.events.allows(now) else self._end(channel, "Too many messages per second")

    def _act(self, channel: Channel, frame: TextFrame, now: float) -> list[Effect]:
        match frame.event:
            case ClientEvent.LEAVE:
                return self._leave(channel, frame)
            case ClientEvent.ACCESS_TOKEN:
                return self._renew(channel, frame.payload.get("access_token"), now)
            case ClientEvent.BROADCAST:
                return self._counted(channel, now) or self._broadcast_text(channel, frame)
            case ClientEvent.PRESENCE:
                return self._presence_counted(channel, now) or self._presence(channel, frame)
            case _:
                return []

    def _leave(self, channel: Channel, frame: TextFrame) -> list[Effect]:
        del self._channels[channel.topic]
        return [
            Unsubscribe(topic=channel.topic),
            Send(message=messages.reply_ok(channel.topic, frame.ref, channel.join_ref)),
            Send(message=messages.close(channel.topic, channel.join_ref)),
        ]

    def _renew(self, channel: Channel, value: Any, now: float) -> list[Effect]:
        token = joins.usable_token(value)
        if token is None or token == channel.token:
            return []
        try:
            claims = self._verify(token)
        except RefusedTokenError as refused:
            return self._end(channel, refused.text)
        if claims.expires_at <= now:
            return self._end(channel, tokens.expired(claims.expires_at, now))
        renewed = replace(channel, token=token, claims=claims)
        self._channels[channel.topic] = renewed
        return [Subscribe(channel=renewed)]

    def _end(self, channel: Channel, reason: str) -> list[Effect]:
        """The server ends a channel: in words first, for after the close clients forget the topic."""
        del self._channels[channel.topic]
        return [
            Unsubscribe(topic=channel.topic),
            Send(message=messages.system(channel.topic, ok=False, message=reason, extension="system")),
            Send(message=messages.close(channel.topic, channel.join_ref)),
        ]

    # -- presence

    def _presence_counted(self, channel: Channel, now: float) -> list[Effect]:
        """One more presence call; the end of the channel where that is too many, of its own or of everybody's."""
        if not channel.presence_calls.allows(now):
            return self._end(channel, "Client presence rate limit exceeded")
        if not self._rates.presence.allows(now):
            return self._end(channel, "Too many presence messages per second")
        return []

    def _presence(self, channel: Channel, frame: TextFrame) -> list[Effect]:
        event, payload = frame.payload.get("event"), frame.payload.get("payload", {})
        done = Send(message=messages.reply_ok(channel.topic, frame.ref, channel.join_ref))
        if event == "untrack":
            return [Untrack(topic=channel.topic), done]
        if event != "track":
            return []
        if not isinstance(payload, dict):
            reason = {"reason": "Presence track payload must be a map"}
            return [Send(message=messages.reply_error(channel.topic, frame.ref, channel.join_ref, reason))]
        if len(orjson.dumps(payload)) > self._limits.broadcast_bytes:
            return self._end(channel, "Track message size exceeded")
        refused = Send(message=messages.reply_error(channel.topic, frame.ref, channel.join_ref, {}))
        return _guard(channel, Extension.PRESENCE, [Track(topic=channel.topic, payload=payload), done], refused)

    # -- broadcast

    def _broadcast_text(self, channel: Channel, frame: TextFrame) -> list[Effect]:
        message = Push(topic=channel.topic, event=ServerEvent.BROADCAST, payload=frame.payload)
        size = len(orjson.dumps(frame.payload))
        return self._broadcast(channel, frame.ref, message, size)

    def _broadcast_binary(self, channel: Channel, frame: BinaryBroadcast) -> list[Effect]:
        message = Broadcast(topic=channel.topic, event=frame.event, body=frame.body, encoding=frame.encoding)
        persist = persistence.parse(frame.metadata.get("persist"), private=channel.join.private)
        if persist is None or len(frame.body) > self._limits.broadcast_bytes:
            return self._broadcast(channel, frame.ref, message, len(frame.body))
        return _guard(
            channel, Extension.BROADCAST, [Store(channel=channel, message=message, persist=persist, ref=frame.ref)]
        )

    def _broadcast(self, channel: Channel, ref: str | None, message: Outgoing, size: int) -> list[Effect]:
        fits = size <= self._limits.broadcast_bytes
        effects: list[Effect] = [FanOut(channel=channel, message=message)] if fits else []
        if channel.join.acknowledge:
            reply = (
                messages.reply_ok(channel.topic, ref, channel.join_ref)
                if fits
                else messages.reply_error(channel.topic, ref, channel.join_ref, {"error": "payload_size_exceeded"})
            )
            effects.append(Send(message=reply))
        return _guard(channel, Extension.BROADCAST, effects)


class JoinError(Exception):
    """A join answered with an error; the text is the reason, beginning with the code clients look for."""


def _refusal_of(join: Join, outcome: Outcome) -> str | None:
    """Why a join fails as a whole. A bad binding does so only for clients that asked to wait for the database."""
    match outcome:
        case Stood():
            return None
        case Unavailable(reason=reason) | Denied(reason=reason):
            return reason
        case Failed(message=message):
            return f"RealtimeDisabledForConfiguration: {message}" if join.wait_s is not None else None
        case _:
            assert_never(outcome)


def _standing(channel: Channel) -> list[Effect]:
    """What a channel is told once what it asked for stands."""
    topic = channel.topic
    changes: list[Effect] = [Send(message=messages.system(topic, ok=True, message=SUBSCRIBED))]
    stream: list[Effect] = [Send(message=messages.system(topic, ok=True, message=REPLICATING, extension="system"))]
    return (changes if channel.join.bindings else []) + (stream if channel.join.replication_ready else [])


def _guard(channel: Channel, extension: Extension, effects: list[Effect], *otherwise: Effect) -> list[Effect]:
    """The effects, on a private channel only where it may write. A broadcast that may not be is dropped in silence."""
    if not channel.join.private:
        return effects
    return [IfWritable(topic=channel.topic, extension=extension, effects=tuple(effects), otherwise=tuple(otherwise))]


def _refuse(channel: Channel, reason: str) -> Send:
    reply = messages.reply_error(channel.topic, channel.join_message_ref, channel.join_ref, {"reason": reason})
    return Send(message=reply)


def _absent(frame: Incoming) -> Send:
    """The answer on a topic that is not joined: leaving it is fine, anything else is not."""
    if isinstance(frame, TextFrame) and frame.event == ClientEvent.LEAVE:
        return Send(message=messages.reply_ok(frame.topic, frame.ref, frame.join_ref))
    return _unmatched(frame)


def _unmatched(frame: Incoming) -> Send:
    reason = {"reason": "unmatched topic"}
    return Send(message=messages.reply_error(frame.topic, frame.ref, frame.join_ref, reason))
