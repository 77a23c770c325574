"""One websocket: frames in, one after the other, through the protocol; frames out through a bounded outbox."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import assert_never
from uuid import uuid4

import anyio
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from minibase.realtime import wire
from minibase.realtime.authority import Authority
from minibase.realtime.effects import (
    Channel,
    Disconnect,
    Effect,
    Failed,
    FanOut,
    IfWritable,
    Outcome,
    Replay,
    Send,
    ShowPresence,
    Store,
    Subscribe,
    Track,
    Unsubscribe,
    Untrack,
)
from minibase.realtime.hub import Hub
from minibase.realtime.inbox import Inbox
from minibase.realtime.limits import Limits, Rates
from minibase.realtime.messages import HEARD, CloseCode, Extension, Outgoing, Version
from minibase.realtime.persistence import NOT_ALLOWED
from minibase.realtime.protocol import Protocol
from minibase.realtime.sessions import DatabaseUnavailableError
from minibase.realtime.subscribers import Room, Subscriber
from minibase.realtime.tokens import Verify
from minibase.realtime.wire import FrameError

MAX_WAITING_FRAMES = 50_000
MAX_WAITING_BYTES = 32 * 1024 * 1024
CLOSE_SECONDS = 5
TOO_BIG = 1009
GONE = 0

logger = logging.getLogger(__name__)


class Outbox:
    """What one socket has still to be sent. Putting never waits; more than a reader can owe ends the socket."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._frames: deque[str | bytes] = deque()
        self._size = 0
        self._filled = anyio.Event()
        self.closing: tuple[int, str] | None = None
        self._ending: tuple[int, str] | None = None
        self.closed = anyio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._frames

    @property
    def is_ending(self) -> bool:
        return self._ending is not None

    def send(self, message: Outgoing) -> None:
        frame = wire.encode(self._version, message)
        if frame is not None:
            self.send_frame(frame)

    def send_frame(self, frame: str | bytes) -> None:
        if self.closing is not None or self._ending is not None:
            return
        self._frames.append(frame)
        self._size += len(frame)
        if len(self._frames) > MAX_WAITING_FRAMES or self._size > MAX_WAITING_BYTES:
            self.close(CloseCode.TRY_LATER, "too slow: too many frames are waiting to be read")
        self._filled.set()

    def finish(self, code: int, reason: str) -> None:
        """End the socket with this code once all that waits is sent; nothing is added any more."""
        self._ending = (code, reason)
        self._filled.set()

    def close(self, code: int, reason: str) -> None:
        """End the socket with this code; what is still waiting is dropped."""
        if self.closing is None:
            self.closing = (code, reason)
            self._frames.clear()
            self._size = 0
            self.closed.set()

    async def take(self) -> str | bytes:
        while not self._frames:
            if self._ending is not None:
                self.close(*self._ending)
            self._filled = anyio.Event()
            await self._filled.wait()
        frame = self._frames.popleft()
        self._size -= len(frame)
        return frame


class SocketSession:
    """Carries out what the protocol decides, on an accepted websocket."""

    def __init__(
        self,
        websocket: WebSocket,
        *,
        version: Version,
        token: str,
        verify: Verify,
        hub: Hub,
        authority: Authority,
        limits: Limits,
        rates: Rates,
    ) -> None:
        self._websocket = websocket
        self._version = version
        self._limits = limits
        self._hub = hub
        self._authority = authority
        self._protocol = Protocol(token=token, verify=verify, limits=limits, rates=rates, opened=time.time())
        self._outbox = Outbox(version)
        self._subscribers: dict[str, Subscriber] = {}

    async def run(self) -> None:
        """Serve until either side ends the socket; nothing of it is left behind."""
        inbox = Inbox()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, inbox)
                tasks.start_soon(self._process, inbox)
                tasks.start_soon(self._send)
                await self._outbox.closed.wait()
                tasks.cancel_scope.cancel()
        finally:
            for subscriber in self._subscribers.values():
                self._hub.unsubscribe(subscriber)
        await self._say_goodbye()

    async def _receive(self, inbox: Inbox) -> None:
        """Read frames as they come, whatever is being processed: pings are answered only while somebody reads."""
        while True:
            with anyio.move_on_after(self._limits.silence_s or None) as patience:
                message = await self._websocket.receive()
            if patience.cancelled_caught:
                self._outbox.close(CloseCode.GOING_AWAY, f"nothing was heard for {self._limits.silence_s:g} seconds")
                return
            if message["type"] == "websocket.disconnect":
                self._outbox.close(GONE, "the client is gone")
                return
            frame = message.get("text")
            frame = frame if frame is not None else message["bytes"]
            if len(frame) > self._limits.frame_bytes:
                self._outbox.close(TOO_BIG, f"a frame may have at most {self._limits.frame_bytes} bytes")
                return
            await inbox.put(frame)

    async def _process(self, inbox: Inbox) -> None:
        while not self._outbox.is_ending:
            expiry = self._protocol.next_expiry
            patience = None if expiry is None else max(0.0, expiry - time.time())
            with anyio.move_on_after(patience) as waited:
                frame = await inbox.take()
            if waited.cancelled_caught:
                await self._carry_out(self._protocol.expire(time.time()))
            else:
                await self._handle(frame)
        # What was said last is being sent, to a reader that may have stopped reading.
        await anyio.sleep(CLOSE_SECONDS)
        self._outbox.close(CloseCode.TRY_LATER, "what was said last could not be sent")

    async def _handle(self, frame: str | bytes) -> None:
        try:
            message = wire.decode(self._version, frame)
        except FrameError as error:
            logger.debug("realtime: a frame was dropped: %s", error)
            return
        await self._carry_out(self._protocol.receive(message, time.time()))

    async def _send(self) -> None:
        try:
            while True:
                await self._websocket.send(_asgi(await self._outbox.take()))
        except WebSocketDisconnect:
            self._outbox.close(GONE, "the client is gone")

    async def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(message=message):
                    self._outbox.send(message)
                case Unsubscribe(topic=topic):
                    self._unsubscribe(topic)
                case FanOut(channel=channel, message=message):
                    sender = self._subscribers[channel.topic]
                    self._hub.rooms.broadcast(sender.room, message, sender=sender)
                case Store():
                    await self._store(effect)
                case Track() | Untrack() | ShowPresence():
                    self._carry_out_presence(effect)
                case Replay(channel=channel):
                    await self._replay(channel)
                case Disconnect(reason=reason, code=code):
                    self._outbox.finish(code, reason)
                case IfWritable(topic=topic, extension=extension):
                    allowed = await self._may_write(self._subscribers[topic], extension)
                    await self._carry_out(effect.effects if allowed else effect.otherwise)
                case Subscribe(channel=channel):
                    await self._subscribe(channel)
                case _:
                    assert_never(effect)

    def _carry_out_presence(self, effect: Track | Untrack | ShowPresence) -> None:
        rooms, subscriber = self._hub.rooms, self._subscribers[effect.topic]
        match effect:
            case Track(payload=payload):
                rooms.track(subscriber, payload)
            case Untrack():
                rooms.untrack(subscriber)
            case ShowPresence():
                rooms.show_presence(subscriber)

    async def _subscribe(self, channel: Channel) -> None:
        former = self._subscribers.get(channel.topic)
        subscriber = Subscriber(
            room=Room(topic=channel.topic, private=channel.join.private),
            version=self._version,
            claims=channel.claims,
            bindings=channel.join.bindings,
            wants_own_broadcasts=channel.join.self_broadcast,
            presence_key=former.presence_key if former else channel.join.presence_key or str(uuid4()),
            hears_presence=former.hears_presence if former else channel.join.presence_enabled,
            outlet=self._outbox,
            readable=frozenset() if channel.join.private else HEARD,
        )
        self._subscribers[channel.topic] = subscriber
        outcome = await self._stand(channel, subscriber, former)
        await self._carry_out(self._protocol.stood(channel, outcome))
        if self._subscribers.get(channel.topic) is subscriber:
            self._hub.enter(subscriber, former)
        elif former is not None:
            self._hub.unsubscribe(former)

    async def _stand(self, channel: Channel, subscriber: Subscriber, former: Subscriber | None) -> Outcome:
        if channel.join.problem is not None:
            return Failed(message=channel.join.problem)
        join = channel.join
        return await self._hub.subscribe(subscriber, former, wait=join.replication_ready, patience_s=join.wait_s)

    async def _replay(self, channel: Channel) -> None:
        """Older broadcasts, fetched while newer ones already arrive and wait."""
        subscriber, replay = self._subscribers[channel.topic], channel.join.replay
        if replay is None or Extension.BROADCAST not in subscriber.readable:
            return
        subscriber.hold_broadcasts()
        self._hub.rooms.enter(subscriber)
        try:
            told = await self._authority.replay(channel.topic, replay)
        except DatabaseUnavailableError as error:
            logger.debug("realtime: nothing could be replayed to %s: %s", channel.topic, error)
            told = []
        frames = {each.id: wire.encode(self._version, each.broadcast) for each in told}
        subscriber.replay({message_id: frame for message_id, frame in frames.items() if frame is not None})

    async def _store(self, effect: Store) -> None:
        sender, message_id = self._subscribers[effect.channel.topic], uuid4()
        persist = effect.persist
        if persist.problem is None and not await self._may_write(sender, Extension.PERSISTENCE):
            persist = replace(persist, problem=NOT_ALLOWED)
        problem = await self._hub.say_and_keep(sender.room, effect.message, persist, message_id, sender=sender)
        await self._carry_out(self._protocol.stored(effect.channel, effect.ref, str(message_id), problem))

    async def _may_write(self, subscriber: Subscriber, extension: Extension) -> bool:
        """What policies say, asked once for each token. While nobody can be asked: no."""
        if extension not in subscriber.writable:
            try:
                allowed = await self._authority.writable(subscriber.claims, subscriber.topic, extension)
            except DatabaseUnavailableError:
                return False
            subscriber.writable[extension] = allowed
        return subscriber.writable[extension]

    def _unsubscribe(self, topic: str) -> None:
        subscriber = self._subscribers.pop(topic, None)
        if subscriber is not None:
            self._hub.unsubscribe(subscriber)

    async def _say_goodbye(self) -> None:
        code, reason = self._outbox.closing or (GONE, "")
        if code == GONE:
            return
        if code == CloseCode.TRY_LATER:
            topics = ", ".join(sorted(self._subscribers)[:5])
            logger.warning("realtime: the socket of %s was closed: %s", topics or "no channel", reason)
        # A reader that has stopped blocks the close frame as well: it gets a moment, then the connection is dropped.
        with anyio.move_on_after(CLOSE_SECONDS), suppress(WebSocketDisconnect):
            await self._websocket.send({"type": "websocket.close", "code": code, "reason": reason})


def _asgi(frame: str | bytes) -> Message:
    return {"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame}
