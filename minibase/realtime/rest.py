"""Broadcasts by HTTP: a batch of messages, or one whose body is its payload.

Source: Realtime's `/api/broadcast`. Answers are 202 before anybody has received anything, as there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from minibase.realtime.authority import Authority
from minibase.realtime.hub import Hub
from minibase.realtime.limits import Limits, Rates
from minibase.realtime.messages import PREFIX, Broadcast, Encoding, Extension, Push, ServerEvent
from minibase.realtime.persistence import NOT_VALID, Persist, parse
from minibase.realtime.sessions import DatabaseUnavailableError
from minibase.realtime.subscribers import Room
from minibase.realtime.tokens import Claims, RefusedTokenError, Verify

OCTETS = "application/octet-stream"
TOO_MANY = {"message": "You have exceeded your rate limit"}


class BroadcastEndpoints:
    """The two handlers. A private message that the caller may not write is refused alone, skipped in a batch."""

    def __init__(self, hub: Hub, authority: Authority, verify: Verify, limits: Limits, rates: Rates) -> None:
        self._hub = hub
        self._authority = authority
        self._verify = verify
        self._limits = limits
        self._rates = rates

    async def batch(self, request: Request) -> Response:
        return await self._answer(request, self._send_batch)

    async def single(self, request: Request) -> Response:
        return await self._answer(request, self._send_single)

    async def _answer(self, request: Request, send: Callable[[Request, Claims, bytes], Awaitable[None]]) -> Response:
        try:
            await send(request, self._authenticate(request), await _body(request, self._limits.frame_bytes))
        except RequestRefusedError as refused:
            return JSONResponse(refused.body, status_code=refused.status)
        except DatabaseUnavailableError:
            message = "The database cannot be reached now, please try again"
            return JSONResponse({"message": message}, status_code=503, headers={"Retry-After": "1"})
        return Response(status_code=202)

    def _authenticate(self, request: Request) -> Claims:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise RefusedTokenError(code="Unauthorized", text="no token")
            return self._verify(token.strip())
        except RefusedTokenError as refused:
            raise RequestRefusedError(401, {"message": "Unauthorized"}) from refused

    async def _send_batch(self, _: Request, claims: Claims, body: bytes) -> None:
        messages = _parse_batch(body, self._limits.broadcast_bytes)
        self._count(len(messages))
        rooms = [Room(topic=PREFIX + message["topic"], private=message.get("private") is True) for message in messages]
        allowed = {room for room in dict.fromkeys(rooms) if await self._may_write(claims, room)}
        for message, room in zip(messages, rooms, strict=True):
            if room in allowed:
                payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
                self._hub.rooms.broadcast(room, Push(topic=room.topic, event=ServerEvent.BROADCAST, payload=payload))

    async def _send_single(self, request: Request, claims: Claims, body: bytes) -> None:
        name, event = _topic_and_event(request)
        room = Room(topic=PREFIX + name, private=request.query_params.get("private") == "true")
        persist = _persist(request, room)
        encoding = _encoding(request.headers.get("content-type", ""), body)
        if len(body) > self._limits.broadcast_bytes:
            raise _too_large(self._limits.broadcast_bytes)
        self._count(1)
        if not await self._may_write(claims, room):
            raise RequestRefusedError(403, {"message": f"No policy lets you write to the private channel {name}"})
        message = Broadcast(topic=room.topic, event=event, body=body, encoding=encoding)
        if persist is None:
            self._hub.rooms.broadcast(room, message)
            return
        if not await self._authority.writable(claims, room.topic, Extension.PERSISTENCE):
            words = f"No policy lets you keep what you say in the private channel {name} (extension persistence)"
            raise RequestRefusedError(403, {"message": words})
        problem = await self._hub.say_and_keep(room, message, persist, uuid4())
        if problem is not None:
            raise RequestRefusedError(503, {"message": f"It was broadcast, but could not be stored: {problem}"})

    def _count(self, messages: int) -> None:
        if not self._rates.events.allows(time.time(), messages):
            raise RequestRefusedError(429, TOO_MANY)

    async def _may_write(self, claims: Claims, room: Room) -> bool:
        return not room.private or await self._authority.writable(claims, room.topic, Extension.BROADCAST)


class RequestRefusedError(Exception):
    """A request answered with something other than 202."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def _topic_and_event(request: Request) -> tuple[str, str]:
    """Both as they were before the client encoded them for the path: either may hold a slash."""
    _, _, rest = request.scope["raw_path"].partition(b"/api/broadcast/")
    match rest.decode("latin-1").split("/"):
        case [topic, "events", event] if topic and event:
            return unquote(topic), unquote(event)
        case _:
            raise RequestRefusedError(404, {"message": "A broadcast is sent to /api/broadcast/TOPIC/events/EVENT"})


def _persist(request: Request, room: Room) -> Persist | None:
    flag, ttl = request.query_params.get("persist"), request.query_params.get("persist[ttl]")
    asked: Any = flag == "true" if ttl is None else {"ttl": int(ttl) if ttl.isdecimal() else ttl}
    persist = parse(asked if flag in (None, "true", "false") else flag, private=room.private)
    if persist is not None and persist.problem is not None:
        words = "must be true, or persist[ttl] a number of seconds"
        needs = words if persist.problem == NOT_VALID else "needs private=true: only private channels are replayed"
        raise RequestRefusedError(422, {"errors": {"persist": [needs]}})
    return persist


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> RequestRefusedError:
    return RequestRefusedError(413, {"message": f"A broadcast may have at most {most} bytes"})


def _parse_batch(body: bytes, most: int) -> list[dict[str, Any]]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(422, {"errors": {"body": [f"is not JSON: {error}"]}}) from error
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(422, {"errors": {"messages": ["must be a list of messages"]}})
    errors = [_faults(message, most) for message in messages]
    if any(errors):
        raise RequestRefusedError(422, {"errors": {"messages": errors}})
    return messages


def _faults(message: Any, most: int) -> dict[str, list[str]]:
    if not isinstance(message, dict):
        return {"message": ["must be an object"]}
    wanted = {"topic": str, "event": str, "payload": dict}
    if isinstance(message.get("payload"), dict) and len(orjson.dumps(message["payload"])) > most:
        return {"payload": [f"Payload size exceeds tenant limit: at most {most} bytes"]}
    return {
        name: [f"is required and must be {'an object' if kind is dict else 'a text'}"]
        for name, kind in wanted.items()
        if not isinstance(message.get(name), kind) or message[name] == ""
    }


def _encoding(content_type: str, body: bytes) -> Encoding:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == OCTETS:
        return Encoding.RAW
    if kind != "application/json":
        message = f"The body must be application/json or {OCTETS}, not {kind or 'of no type'}"
        raise RequestRefusedError(415, {"message": message})
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(422, {"errors": {"payload": [f"is not JSON: {error}"]}}) from error
    return Encoding.JSON
