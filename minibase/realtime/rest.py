"""Broadcasts by HTTP: a batch of messages, or one whose body is its payload.

Source: Realtime's `/api/broadcast`. Answers are 202 before anybody has received anything, as there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from minibase.realtime.hub import Hub
from minibase.realtime.messages import PREFIX, Broadcast, Encoding, Push, ServerEvent
from minibase.realtime.tokens import RefusedTokenError, Verify

OCTETS = "application/octet-stream"
MAX_BODY_BYTES = 3_000_000


class BroadcastEndpoints:
    """The two handlers. A private message is refused (alone) or skipped (in a batch): there are no private rooms."""

    def __init__(self, hub: Hub, verify: Verify) -> None:
        self._hub = hub
        self._verify = verify

    async def batch(self, request: Request) -> Response:
        return await self._answer(request, self._send_batch)

    async def single(self, request: Request) -> Response:
        return await self._answer(request, self._send_single)

    async def _answer(self, request: Request, send: Callable[[Request, bytes], None]) -> Response:
        try:
            self._authorise(request)
            send(request, await _body(request))
        except RequestRefusedError as refused:
            return JSONResponse(refused.body, status_code=refused.status)
        return Response(status_code=202)

    def _authorise(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise RefusedTokenError(code="Unauthorized", text="no token")
            self._verify(token.strip())
        except RefusedTokenError as refused:
            raise RequestRefusedError(401, {"message": "Unauthorized"}) from refused

    def _send_batch(self, _: Request, body: bytes) -> None:
        messages = _parse_batch(body)
        for message in messages:
            if message.get("private") is not True:
                payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
                topic = PREFIX + message["topic"]
                self._hub.broadcast(topic, Push(topic=topic, event=ServerEvent.BROADCAST, payload=payload))

    def _send_single(self, request: Request, body: bytes) -> None:
        if request.query_params.get("private") == "true":
            raise RequestRefusedError(403, {"message": "This server does not offer private channels"})
        topic = PREFIX + request.path_params["topic"]
        encoding = _encoding(request.headers.get("content-type", ""), body)
        event = request.path_params["event"]
        self._hub.broadcast(topic, Broadcast(topic=topic, event=event, body=body, encoding=encoding))


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
