"""Frames of both versions: tables of exact bytes, round trips, and nothing but FrameError for broken ones."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.realtime.messages import (
    BinaryBroadcast,
    Broadcast,
    Encoding,
    Push,
    ServerEvent,
    TextFrame,
    Version,
    close,
    reply_ok,
    system,
)
from minibase.realtime.wire import FrameError, decode, encode

TOPIC = "realtime:room"


def kind3(names: tuple[str, str, str, str], metadata: bytes, encoding: int, body: bytes) -> bytes:
    """`names` are join_ref, ref, topic and event."""
    parts = [*(name.encode() for name in names), metadata]
    return bytes([3, *map(len, parts), encoding]) + b"".join(parts) + body


def test_version_1_object() -> None:
    frame = '{"topic":"realtime:room","event":"phx_join","payload":{"a":1},"ref":"1","join_ref":"1"}'
    assert decode(Version.V1, frame) == TextFrame(
        topic=TOPIC, event="phx_join", payload={"a": 1}, ref="1", join_ref="1"
    )


def test_python_heartbeat_has_no_ref() -> None:
    frame = '{"event":"heartbeat","payload":{},"topic":"phoenix","ref":null,"join_ref":null}'
    assert decode(Version.V1, frame) == TextFrame(topic="phoenix", event="heartbeat", payload={})


def test_version_2_array() -> None:
    frame = '["1","2","realtime:room","broadcast",{"event":"e"}]'
    assert decode(Version.V2, frame) == TextFrame(
        topic=TOPIC, event="broadcast", payload={"event": "e"}, ref="2", join_ref="1"
    )


def test_binary_broadcast_of_a_client() -> None:
    frame = kind3(("1", "7", TOPIC, "cursor"), b'{"persist":true}', 1, b'{"x":1}')
    assert decode(Version.V2, frame) == BinaryBroadcast(
        topic=TOPIC,
        event="cursor",
        body=b'{"x":1}',
        encoding=Encoding.JSON,
        metadata={"persist": True},
        ref="7",
        join_ref="1",
    )


@pytest.mark.parametrize(
    ("version", "frame"),
    [
        (Version.V1, ""),
        (Version.V1, "[]"),
        (Version.V1, "{}"),
        (Version.V1, '{"topic":1,"event":"e","payload":{}}'),
        (Version.V1, '{"topic":"t","event":"e","payload":[]}'),
        (Version.V1, '{"topic":"t","event":"e","payload":{},"ref":1}'),
        (Version.V1, b"\x03"),
        (Version.V2, "{}"),
        (Version.V2, '["1","2","t","e"]'),
        (Version.V2, "[" * 100_000),
        (Version.V2, b""),
        (Version.V2, bytes([4, 0, 0, 0, 0, 0, 0])),
        (Version.V2, bytes([3, 9, 0, 0, 0, 0, 0])),
        (Version.V2, kind3(("1", "1", "t", "e"), b"", 2, b"{}")),
        (Version.V2, kind3(("1", "1", "t", "e"), b"[]", 1, b"{}")),
        (Version.V2, kind3(("1", "1", "t", "e"), b"", 1, b"{")),
        (Version.V2, bytes([3, 1, 0, 0, 0, 0, 0, 0xFF])),
    ],
)
def test_broken_frames_are_told_apart(version: Version, frame: str | bytes) -> None:
    with pytest.raises(FrameError):
        decode(version, frame)


def test_server_frames_of_version_1_always_carry_ref() -> None:
    push = Push(topic=TOPIC, event=ServerEvent.POSTGRES_CHANGES, payload={"ids": [1]})
    frame = encode(Version.V1, push)
    assert isinstance(frame, str)
    assert orjson.loads(frame) == {"topic": TOPIC, "event": "postgres_changes", "payload": {"ids": [1]}, "ref": None}


def test_server_frames_of_version_2() -> None:
    assert encode(Version.V2, reply_ok(TOPIC, "2", "1")) == (
        '["1","2","realtime:room","phx_reply",{"status":"ok","response":{}}]'
    )
    assert encode(Version.V2, close(TOPIC, "1")) == '["1","1","realtime:room","phx_close",{}]'
    notice = encode(Version.V2, system(TOPIC, ok=True, message="Subscribed to PostgreSQL"))
    assert isinstance(notice, str)
    assert orjson.loads(notice) == [
        None,
        None,
        TOPIC,
        "system",
        {
            "channel": "room",
            "extension": "postgres_changes",
            "status": "ok",
            "message": "Subscribed to PostgreSQL",
        },
    ]


def test_json_broadcast_reaches_both_versions() -> None:
    broadcast = Broadcast(topic=TOPIC, event="cursor", body=b'{"x":1}', encoding=Encoding.JSON)
    assert encode(Version.V2, broadcast) == bytes([4, 13, 6, 0, 1]) + b"realtime:roomcursor" + b'{"x":1}'
    frame = encode(Version.V1, broadcast)
    assert isinstance(frame, str)
    assert orjson.loads(frame) == {
        "topic": TOPIC,
        "event": "broadcast",
        "payload": {"type": "broadcast", "event": "cursor", "payload": {"x": 1}},
        "ref": None,
    }


def test_raw_broadcast_reaches_version_2_only() -> None:
    broadcast = Broadcast(topic=TOPIC, event="cursor", body=b"\x00\xff", encoding=Encoding.RAW)
    assert encode(Version.V1, broadcast) is None
    assert encode(Version.V2, broadcast) == bytes([4, 13, 6, 0, 0]) + b"realtime:roomcursor" + b"\x00\xff"


def test_a_name_too_long_for_a_size_byte_goes_as_text() -> None:
    frame = encode(Version.V2, Broadcast(topic="t" * 256, event="e", body=b"{}", encoding=Encoding.JSON))
    assert isinstance(frame, str)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text('ab"\\é', max_size=3), children),
    max_leaves=8,
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
refs = st.none() | names.filter(bool)


@settings(max_examples=60, deadline=None)
@given(topic=names, event=names, ref=refs, join_ref=refs, payload=st.dictionaries(names, json_values, max_size=3))
def test_text_frames_survive_the_trip(
    topic: str, event: str, ref: str | None, join_ref: str | None, payload: dict[str, object]
) -> None:
    expected = TextFrame(topic=topic, event=event, payload=payload, ref=ref, join_ref=join_ref)
    as_object = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
    assert decode(Version.V1, orjson.dumps(as_object).decode()) == expected
    assert decode(Version.V2, orjson.dumps([join_ref, ref, topic, event, payload]).decode()) == expected


@settings(max_examples=60, deadline=None)
@given(topic=names, event=names, body=st.binary(max_size=300), ref=refs)
def test_binary_broadcasts_survive_the_trip(topic: str, event: str, body: bytes, ref: str | None) -> None:
    message = decode(Version.V2, kind3(("", ref or "", topic, event), b"", 0, body))
    assert message == BinaryBroadcast(topic=topic, event=event, body=body, encoding=Encoding.RAW, ref=ref)
    frame = encode(Version.V2, Broadcast(topic=topic, event=event, body=body, encoding=Encoding.RAW))
    assert isinstance(frame, bytes)
    topic_size, event_size = frame[1], frame[2]
    assert frame[5 : 5 + topic_size].decode() == topic
    assert frame[5 + topic_size : 5 + topic_size + event_size].decode() == event
    assert frame[5 + topic_size + event_size :] == body


VALID = [
    kind3(("1", "7", TOPIC, "cursor"), b'{"persist":true}', 1, b'{"x":1}'),
    b'["1","2","realtime:room","broadcast",{"event":"e"}]',
    b'{"topic":"realtime:room","event":"phx_join","payload":{"config":{}},"ref":"1"}',
]


@settings(max_examples=60, deadline=None)
@given(
    base=st.sampled_from(VALID),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 200),
    version=st.sampled_from(Version),
    as_text=st.booleans(),
)
def test_mutated_frames_never_do_worse_than_a_frame_error(
    base: bytes, edits: list[tuple[int, int]], cut: int, version: Version, as_text: bool
) -> None:
    frame = bytearray(base)
    for position, value in edits:
        frame[position % len(frame)] = value
    data = bytes(frame[:cut])
    with suppress(FrameError):
        decode(version, data.decode(errors="replace") if as_text else data)
