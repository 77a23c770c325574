"""Broadcasts by HTTP: a batch of messages, or one whose body is its payload.

Source: Realtime's `/api/broadcast`. Answers are 202 before anybody has received anything, as there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from minibase.realtime.authority import Authority
from minibase.realtime.messages import PREFIX, Broadcast, Encoding, Extension, Push, ServerEvent
from minibase.realtime.rooms import Rooms
from minibase.realtime.sessions import DatabaseUnavailableError
from minibase.realtime.subscribers import Room
from minibase.realtime.tokens import Claims, RefusedTokenError, Verify

OCTETS = "application/octet-stream"
MAX_BODY_BYTES = 3_000_000


class BroadcastEndpoints:
    """The two handlers. A private message that the caller may not write is refused alone, skipped in a batch."""

    def __init__(self, rooms: Rooms, authority: Authority, verify: Verify) -> None:
        self._rooms = rooms
        self._authority = authority
        self._verify = verify

    async def batch(self, request: Request) -> Response:
        return await self._answer(request, self._send_batch)

    async def single(self, request: Request) -> Response:
        return await self._answer(request, self._send_single)

    async def _answer(self, request: Request, send: Callable[[Request, Claims, bytes], Awaitable[None]]) -> Response:
        try:
            await send(request, self._authenticate(request), await _body(request))
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
        messages = _parse_batch(body)
        rooms = [Room(topic=PREFIX + message["topic"], private=message.get("private") is True) for message in messages]
        allowed = {room for room in dict.fromkeys(rooms) if await self._may_write(claims, room)}
        for message, room in zip(messages, rooms, strict=True):
            if room in allowed:
                payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
                self._rooms.broadcast(room, Push(topic=room.topic, event=ServerEvent.BROADCAST, payload=payload))

    async def _send_single(self, request: Request, claims: Claims, body: bytes) -> None:
        private = request.query_params.get("private") == "true"
        room = Room(topic=PREFIX + request.path_params["topic"], private=private)
        encoding = _encoding(request.headers.get("content-type", ""), body)
        if not await self._may_write(claims, room):
            name = request.path_params["topic"]
            raise RequestRefusedError(403, {"message": f"No policy lets you write to the private channel {name}"})
        event = request.path_params["event"]
        self._rooms.broadcast(room, Broadcast(topic=room.topic, event=event, body=body, encoding=encoding))

    async def _may_write(self, claims: Claims, room: Room) -> bool:
        return not room.private or await self._authority.writable(claims, room.topic, Extension.BROADCAST)


class RequestRefusedError(Exception):
    """A request answered with something other than 202."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefusedError(413, {"message": f"A broadcast may have at most {MAX_BODY_BYTES} bytes"})
    return bytes(body)


def _parse_batch(body: bytes) -> list[dict[str, Any]]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(422, {"errors": {"body": [f"is not JSON: {error}"]}}) from error
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(422, {"errors": {"messages": ["must be a list of messages"]}})
    errors = [_faults(message) for message in messages]
    if any(errors):
        raise RequestRefusedError(422, {"errors": {"messages": errors}})
    return messages


def _faults(message: Any) -> dict[str, list[str]]:
    if not isinstance(message, dict):
        return {"message": ["must be an object"]}
    wanted = {"topic": str, "event": str, "payload": dict}
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
