"""Framing: bytes and text of the socket to messages and back, for both versions.

Version 1.0.0 is a JSON object per message, 2.0.0 a JSON array `[join_ref, ref, topic, event, payload]`, and broadcasts
may be binary there: kind 3 from the client, kind 4 from the server, each a row of one-byte sizes and then the fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

import orjson

from minibase.realtime.messages import (
    BinaryBroadcast,
    Broadcast,
    Encoding,
    Incoming,
    Outgoing,
    Push,
    ServerEvent,
    TextFrame,
    Version,
)
from minibase.realtime.values import quote

CLIENT_BROADCAST = 3
SERVER_BROADCAST = 4
MAX_FIELD = 255
CLIENT_HEADER = 7  # kind, five sizes, encoding


class FrameError(ValueError):
    """A frame that is not of the protocol. The socket stays up; the text says what is wrong with it."""


def decode(version: Version, frame: str | bytes) -> Incoming:
    """The message in a frame; FrameError for anything that is none."""
    if isinstance(frame, bytes):
        if version is not Version.V2:
            raise FrameError("binary frames exist in version 2.0.0 only")
        return _decode_binary(frame)
    try:
        value = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from error
    return _decode_object(value) if version is Version.V1 else _decode_array(value)


def _decode_object(value: Any) -> TextFrame:
    if not isinstance(value, dict):
        raise FrameError("a 1.0.0 message is an object")
    fields = (value.get(name) for name in ("join_ref", "ref", "topic", "event", "payload"))
    return _text_frame(*fields)


def _decode_array(value: Any) -> TextFrame:
    if not isinstance(value, list) or len(value) != 5:
        raise FrameError("a 2.0.0 message is an array of five")
    return _text_frame(*value)


def _text_frame(join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any) -> TextFrame:
    if not isinstance(topic, str) or not isinstance(event, str):
        raise FrameError("topic and event must be strings")
    if not isinstance(payload, dict):
        raise FrameError("payload must be an object")
    if not isinstance(ref, str | None) or not isinstance(join_ref, str | None):
        raise FrameError("ref and join_ref must be strings or null")
    return TextFrame(topic=topic, event=event, payload=payload, ref=ref, join_ref=join_ref)


def _decode_binary(frame: bytes) -> BinaryBroadcast:
    if len(frame) < CLIENT_HEADER or frame[0] != CLIENT_BROADCAST:
        raise FrameError("not a binary broadcast")
    fields, offset = [], CLIENT_HEADER
    for size in frame[1:6]:
        fields.append(frame[offset : offset + size])
        offset += size
    if offset > len(frame):
        raise FrameError("a field is longer than the frame")
    body = frame[offset:]
    try:
        encoding = Encoding(frame[6])
        join_ref, ref, topic, event = (part.decode() for part in fields[:4])
        metadata = orjson.loads(fields[4]) if fields[4] else {}
        if encoding is Encoding.JSON:
            orjson.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"broken binary broadcast: {error}") from error
    if not isinstance(metadata, dict):
        raise FrameError("metadata must be an object")
    return BinaryBroadcast(
        topic=topic,
        event=event,
        body=body,
        encoding=encoding,
        metadata=metadata,
        ref=ref or None,
        join_ref=join_ref or None,
    )


def encode(version: Version, message: Outgoing) -> str | bytes | None:
    """The frame for a peer of this version; None if the version has no way to say it (raw bytes to 1.0.0)."""
    match message:
        case Push():
            return _encode_push(version, message)
        case Broadcast():
            return _encode_broadcast(version, message)
        case _:
            assert_never(message)


def _encode_push(version: Version, push: Push) -> str:
    if version is Version.V2:
        return orjson.dumps([push.join_ref, push.ref, push.topic, push.event, push.payload]).decode()
    # The Python client drops a frame without `ref`, so it is there even when null.
    fields = {"topic": push.topic, "event": push.event, "payload": push.payload, "ref": push.ref}
    return orjson.dumps(fields).decode()


def _encode_broadcast(version: Version, broadcast: Broadcast) -> str | bytes | None:
    topic, event = broadcast.topic.encode(), broadcast.event.encode()
    if version is Version.V2 and len(topic) <= MAX_FIELD and len(event) <= MAX_FIELD:
        meta = orjson.dumps(broadcast.meta) if broadcast.meta else b""
        header = bytes((SERVER_BROADCAST, len(topic), len(event), len(meta), broadcast.encoding))
        return header + topic + event + meta + broadcast.body
    if broadcast.encoding is Encoding.RAW:
        return None
    told: dict[str, Any] = {"meta": broadcast.meta} if broadcast.meta else {}
    payload = {"type": "broadcast", "event": broadcast.event, "payload": orjson.Fragment(broadcast.body), **told}
    return _encode_push(version, Push(topic=broadcast.topic, event=ServerEvent.BROADCAST, payload=payload))


def encode_change(version: Version, topic: str, ids: Iterable[int], data: str) -> str:
    """A postgres_changes frame around `data`, which is JSON already and shared by every frame of that change."""
    payload = f'{{"ids":[{",".join(map(str, ids))}],"data":{data}}}'
    if version is Version.V2:
        return f'[null,null,{quote(topic)},"postgres_changes",{payload}]'
    return f'{{"topic":{quote(topic)},"event":"postgres_changes","payload":{payload},"ref":null}}'
