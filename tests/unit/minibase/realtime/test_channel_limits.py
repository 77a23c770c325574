"""What one socket's client may do, how often and how much of it, and what it may have kept."""

from __future__ import annotations

import pytest

from minibase.realtime.effects import (
    Disconnect,
    FanOut,
    IfWritable,
    Store,
    Subscribe,
    Track,
)
from minibase.realtime.messages import (
    BinaryBroadcast,
    Encoding,
    close,
)
from minibase.realtime.persistence import NOT_PRIVATE, NOT_VALID, Echoes
from tests.unit.minibase.realtime.channels import (
    NOW,
    TOPIC,
    frame,
    join_frame,
    joined,
    new_protocol,
    reason,
    sent,
)


def test_too_many_joins_end_the_socket_in_words() -> None:
    protocol = new_protocol(joins_per_second=2)
    for name in "ab":
        assert isinstance(protocol.receive(join_frame(topic=f"realtime:{name}"), NOW)[0], Subscribe)
    effects = protocol.receive(join_frame(topic="realtime:c"), NOW)
    assert reason(effects) == "ClientJoinRateLimitReached: Too many joins per second"
    assert isinstance(effects[-1], Disconnect)
    assert isinstance(protocol.receive(join_frame(topic="realtime:c"), NOW + 1)[0], Subscribe)


@pytest.mark.parametrize(
    ("event", "limit", "words"),
    [
        ("broadcast", "events_per_second", "Too many messages per second"),
        ("presence", "presence_per_second", "Too many presence messages per second"),
        ("presence", "presence_calls", "Client presence rate limit exceeded"),
    ],
)
def test_too_many_messages_end_the_channel_in_words(event: str, limit: str, words: str) -> None:
    many = 60 if limit == "presence_calls" else 1  # else a minute's worth at once
    protocol = new_protocol(**{limit: many})
    joined(protocol)
    for _ in range(60):
        protocol.receive(frame(event, {"event": "track"}), NOW)
    notice, closing = sent(protocol.receive(frame(event, {"event": "track"}), NOW))
    assert (notice.payload["message"], closing) == (words, close(TOPIC, "1"))
    assert protocol.channels == ()


def test_presence_calls_are_counted_by_channel_and_window_also_under_a_new_token() -> None:
    protocol = new_protocol(presence_calls=2, presence_window_s=30)
    joined(protocol)
    joined(protocol, topic="realtime:other")
    track = {"event": "track", "payload": {"n": 1}}
    for _ in range(2):
        assert isinstance(protocol.receive(frame("presence", track), NOW)[0], Track)
    assert isinstance(protocol.receive(frame("presence", track, topic="realtime:other"), NOW)[0], Track)
    assert isinstance(protocol.receive(frame("presence", track), NOW + 31)[0], Track)
    protocol.receive(frame("access_token", {"access_token": "alice@3000"}), NOW + 31)
    assert isinstance(protocol.receive(frame("presence", track), NOW + 31)[0], Track)
    notice, closing = sent(protocol.receive(frame("presence", {"event": "untrack"}), NOW + 31))
    assert (notice.payload["message"], closing) == ("Client presence rate limit exceeded", close(TOPIC, "1"))
    assert [channel.topic for channel in protocol.channels] == ["realtime:other"]


def test_a_presence_too_large_ends_the_channel_in_words() -> None:
    protocol = new_protocol(broadcast_bytes=20)
    joined(protocol)
    track = {"event": "track", "payload": {"mood": "x" * 20}}
    notice, closing = sent(protocol.receive(frame("presence", track), NOW))
    assert (notice.payload["message"], closing) == ("Track message size exceeded", close(TOPIC, "1"))


def test_only_private_channels_where_the_project_says_so() -> None:
    protocol = new_protocol(private_only=True)
    assert reason(protocol.receive(join_frame(), NOW)) == "PrivateOnly: This project only allows private channels"
    assert isinstance(protocol.receive(join_frame({"private": True}), NOW)[0], Subscribe)


@pytest.mark.parametrize(
    ("asked", "private", "seconds", "problem"),
    [
        (True, True, 259_200, None),
        ({}, True, 259_200, None),
        ({"ttl": 60}, True, 60, None),
        ({"ttl": 10**9}, True, 259_200, None),
        ({"ttl": 0}, True, 259_200, NOT_VALID),
        ({"ttl": True}, True, 259_200, NOT_VALID),
        ("yes", True, 259_200, NOT_VALID),
        (True, False, 259_200, NOT_PRIVATE),
    ],
)
def test_what_a_sender_wants_kept(asked: object, private: bool, seconds: int, problem: str | None) -> None:
    protocol = new_protocol()
    joined(protocol, {"private": private, "broadcast": {"ack": True}})
    message = BinaryBroadcast(
        topic=TOPIC, event="e", body=b"{}", encoding=Encoding.JSON, metadata={"persist": asked}, ref="4"
    )
    [effect] = protocol.receive(message, NOW)
    [store] = effect.effects if isinstance(effect, IfWritable) else [effect]
    assert isinstance(store, Store)
    assert (store.persist.seconds, store.persist.problem) == (seconds, problem)
    [answer] = sent(protocol.stored(store.channel, "4", "an id", problem))
    assert answer.payload == (
        {"status": "error", "response": {"error": problem}}
        if problem
        else {"status": "ok", "response": {"id": "an id"}}
    )


@pytest.mark.parametrize("asked", [None, False])
def test_what_nobody_wants_kept_is_said_only(asked: object) -> None:
    protocol = new_protocol()
    joined(protocol)
    message = BinaryBroadcast(topic=TOPIC, event="e", body=b"{}", encoding=Encoding.JSON, metadata={"persist": asked})
    assert [type(effect) for effect in protocol.receive(message, NOW)] == [FanOut]


def test_echoes_are_told_once_and_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minibase.realtime.persistence.KEPT_ECHOES", 2)
    echoes = Echoes()
    for name in "abc":
        echoes.expect(name)
    assert [echoes.is_one(name) for name in "abcb"] == [False, True, True, False]
