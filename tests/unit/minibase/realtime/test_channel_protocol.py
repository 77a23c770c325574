"""One socket's channels as tables of message in, effects out."""

from __future__ import annotations

from typing import Any

import pytest

from minibase.realtime.effects import (
    Denied,
    Disconnect,
    Failed,
    FanOut,
    IfWritable,
    Replay,
    Send,
    ShowPresence,
    Stood,
    Subscribe,
    Track,
    Unavailable,
    Unsubscribe,
    Untrack,
)
from minibase.realtime.messages import (
    BinaryBroadcast,
    Broadcast,
    Encoding,
    Extension,
    Push,
    ServerEvent,
    TextFrame,
    close,
    reply_error,
    reply_ok,
    system,
)
from minibase.realtime.tokens import RefusedTokenError, refusal
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


def test_heartbeat() -> None:
    heartbeat = TextFrame(topic="phoenix", event="heartbeat", payload={}, ref="7")
    assert sent(new_protocol().receive(heartbeat, NOW)) == [reply_ok("phoenix", "7", None)]


def test_join_is_answered_once_the_subscription_stands() -> None:
    protocol = new_protocol()
    entries = [{"schema": "public", "event": "*", "extra": 1}, {"event": "INSERT", "schema": "public", "table": "t"}]
    effects = protocol.receive(join_frame({"postgres_changes": entries}), NOW)
    assert [type(effect) for effect in effects] == [Subscribe]
    assert isinstance(effects[0], Subscribe)
    answer, notice = sent(protocol.stood(effects[0].channel, Stood()))
    echoes = answer.payload["response"]["postgres_changes"]
    assert [{**echo, "id": None} for echo in echoes] == [{**entry, "id": None} for entry in entries]
    assert [list(echo)[:-1] for echo in echoes] == [list(entry) for entry in entries]
    assert all(0 < echo["id"] < 2**53 for echo in echoes)
    assert echoes[0]["id"] != echoes[1]["id"]
    assert notice == system(TOPIC, ok=True, message="Subscribed to PostgreSQL")


def test_join_without_bindings_has_no_notice() -> None:
    assert sent(joined(new_protocol())) == [reply_ok(TOPIC, "1", "1", {"postgres_changes": ()})]


def test_bad_binding_leaves_the_channel_joined() -> None:
    protocol = new_protocol()
    config = {"postgres_changes": [{"schema": "public", "table": "t", "filter": "id=zz.1"}]}
    (effect,) = protocol.receive(join_frame(config), NOW)
    assert isinstance(effect, Subscribe)
    assert effect.channel.join.problem is not None
    answer, notice = sent(protocol.stood(effect.channel, Failed(message=effect.channel.join.problem)))
    assert answer.payload["status"] == "ok"
    assert notice.payload["status"] == "error"
    assert "zz" in notice.payload["message"]
    assert len(protocol.channels) == 1


def test_bad_binding_refuses_a_join_that_waits() -> None:
    protocol = new_protocol()
    (effect,) = protocol.receive(join_frame({"postgres_changes_options": {"wait": True}}), NOW)
    assert isinstance(effect, Subscribe)
    effects = protocol.stood(effect.channel, Failed(message="no such table"))
    assert effects[0] == Unsubscribe(topic=TOPIC)
    assert reason(effects) == "RealtimeDisabledForConfiguration: no such table"
    assert protocol.channels == ()


def test_database_out_of_reach_refuses_the_join() -> None:
    protocol = new_protocol()
    (effect,) = protocol.receive(join_frame(), NOW)
    assert isinstance(effect, Subscribe)
    effects = protocol.stood(effect.channel, Unavailable(reason="UnableToConnectToProject: try again"))
    assert reason(effects) == "UnableToConnectToProject: try again"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (join_frame(topic="realtime:"), "TopicNameRequired: You must provide a topic name"),
        (join_frame(topic="room"), "unmatched topic"),
        (join_frame(payload={"access_token": "nonsense"}), "MalformedJWT: "),
        (join_frame(payload={"access_token": "a@990"}), "InvalidJWTToken: Token has expired 10 seconds ago"),
        (join_frame({"broadcast": {"replay": {"since": 1}}}), "UnableToReplayMessages: Replay is not allowed"),
        (
            join_frame({"private": True, "broadcast": {"replay": {"since": 1, "limit": True}}}),
            "UnableToReplayMessages: Replay params are not valid",
        ),
    ],
)
def test_refused_joins(message: TextFrame, expected: str) -> None:
    protocol = new_protocol()
    assert reason(protocol.receive(message, NOW)).startswith(expected)
    assert protocol.channels == ()


def test_one_channel_too_many() -> None:
    protocol = new_protocol(channels=1)
    joined(protocol)
    assert reason(protocol.receive(join_frame(topic="realtime:b"), NOW)).startswith("ChannelRateLimitReached")


def test_new_style_key_in_the_join_means_the_connections_token() -> None:
    protocol = new_protocol()
    joined(protocol, payload={"access_token": "sb_publishable_x"})
    assert protocol.channels[0].claims.role == "anon"


def test_the_former_name_of_the_token_counts_where_the_newer_has_none() -> None:
    protocol = new_protocol()
    joined(protocol, payload={"access_token": None, "user_token": "alice@3000"})
    assert protocol.channels[0].claims.role == "alice"


def test_join_of_a_joined_topic_closes_the_first() -> None:
    protocol = new_protocol()
    joined(protocol)
    effects = protocol.receive(join_frame(ref="9", join_ref="9"), NOW)
    assert effects[:2] == [Unsubscribe(topic=TOPIC), Send(message=close(TOPIC, "1"))]
    assert isinstance(effects[2], Subscribe)


def test_outcome_for_a_former_join_is_stale() -> None:
    protocol = new_protocol()
    (first,) = protocol.receive(join_frame(), NOW)
    assert isinstance(first, Subscribe)
    protocol.receive(join_frame(ref="9", join_ref="9"), NOW)
    assert protocol.stood(first.channel, Stood()) == []


def test_leave() -> None:
    protocol = new_protocol()
    joined(protocol)
    assert protocol.receive(frame("phx_leave"), NOW) == [
        Unsubscribe(topic=TOPIC),
        Send(message=reply_ok(TOPIC, "2", "1")),
        Send(message=close(TOPIC, "1")),
    ]
    assert sent(protocol.receive(frame("phx_leave", ref="3"), NOW)) == [reply_ok(TOPIC, "3", "1")]


def test_anything_else_on_a_topic_not_joined() -> None:
    assert sent(new_protocol().receive(frame("broadcast"), NOW)) == [
        reply_error(TOPIC, "2", "1", {"reason": "unmatched topic"})
    ]


def test_message_for_an_earlier_join_is_ignored() -> None:
    protocol = new_protocol()
    joined(protocol)
    assert protocol.receive(frame("phx_leave", join_ref="0"), NOW) == []
    assert protocol.receive(frame("phx_leave", join_ref=None), NOW) != []


@pytest.mark.parametrize("token", [None, 5, "sb_secret_x", "anon@5000"])
def test_token_refreshes_that_change_nothing(token: object) -> None:
    protocol = new_protocol()
    joined(protocol)
    assert protocol.receive(frame("access_token", {"access_token": token}), NOW) == []


def test_new_token_registers_anew_without_an_answer() -> None:
    protocol = new_protocol()
    joined(protocol, {"postgres_changes": [{"schema": "public"}]})
    (effect,) = protocol.receive(frame("access_token", {"access_token": "alice@3000"}), NOW)
    assert isinstance(effect, Subscribe)
    assert effect.channel.claims.role == "alice"
    assert protocol.next_expiry == 3000
    notice = system(TOPIC, ok=True, message="Subscribed to PostgreSQL")
    assert sent(protocol.stood(effect.channel, Stood())) == [notice]


@pytest.mark.parametrize(("token", "words"), [("nonsense", "not a valid JWT"), ("a@990", "expired 10 seconds ago")])
def test_bad_new_token_ends_the_channel_in_words(token: str, words: str) -> None:
    protocol = new_protocol()
    joined(protocol)
    unsubscribe, notice, closing = protocol.receive(frame("access_token", {"access_token": token}), NOW)
    assert unsubscribe == Unsubscribe(topic=TOPIC)
    assert isinstance(notice, Send)
    assert isinstance(notice.message, Push)
    assert notice.message.payload["extension"] == "system"
    assert words in notice.message.payload["message"]
    assert closing == Send(message=close(TOPIC, "1"))


def test_expiry_ends_the_channel() -> None:
    protocol = new_protocol()
    joined(protocol)
    assert protocol.next_expiry == 5000
    assert protocol.expire(4999.9) == []
    assert sent(protocol.expire(5003.0)) == [
        system(TOPIC, ok=False, message="Token has expired 3 seconds ago", extension="system"),
        close(TOPIC, "1"),
    ]
    assert protocol.next_expiry == 5003 + 600


def test_a_socket_without_a_channel_ends_after_a_while() -> None:
    protocol = new_protocol(alone_s=10)
    joined(protocol)
    assert protocol.expire(2000) == []
    protocol.receive(frame("phx_leave"), 2000)
    heartbeat = TextFrame(topic="phoenix", event="heartbeat", payload={}, ref="7")
    protocol.receive(heartbeat, 2009)
    assert protocol.expire(2009.9) == []
    assert protocol.next_expiry == 2010
    [end] = protocol.expire(2010)
    assert (type(end), getattr(end, "code", None)) == (Disconnect, 1001)


def test_a_socket_without_a_channel_may_stay_where_that_is_no_limit() -> None:
    protocol = new_protocol(alone_s=0)
    assert (protocol.next_expiry, protocol.expire(1e9)) == (None, [])


def test_broadcast_goes_to_the_room_unacknowledged() -> None:
    protocol = new_protocol()
    joined(protocol)
    payload = {"type": "broadcast", "event": "cursor", "payload": {"x": 1}}
    (effect,) = protocol.receive(frame("broadcast", payload), NOW)
    assert isinstance(effect, FanOut)
    assert effect.message == Push(topic=TOPIC, event=ServerEvent.BROADCAST, payload=payload)


def test_acknowledged_binary_broadcast() -> None:
    protocol = new_protocol(broadcast_bytes=8)
    joined(protocol, {"broadcast": {"ack": "true", "self": True}})
    message = BinaryBroadcast(topic=TOPIC, event="e", body=b"{}", encoding=Encoding.JSON, ref="4")
    fan_out, answer = protocol.receive(message, NOW)
    assert isinstance(fan_out, FanOut)
    assert fan_out.message == Broadcast(topic=TOPIC, event="e", body=b"{}", encoding=Encoding.JSON)
    assert answer == Send(message=reply_ok(TOPIC, "4", "1"))
    big = BinaryBroadcast(topic=TOPIC, event="e", body=b"123456789", encoding=Encoding.JSON, ref="5")
    assert sent(protocol.receive(big, NOW)) == [reply_error(TOPIC, "5", "1", {"error": "payload_size_exceeded"})]


def test_unknown_events_are_ignored() -> None:
    protocol = new_protocol()
    joined(protocol)
    assert protocol.receive(frame("whatever"), NOW) == []


@pytest.mark.parametrize("error", ["malformed", "signature", "algorithm", "claims", "not_yet", "expired"])
def test_every_reason_of_the_keyring_has_words(error: str) -> None:
    refused = refusal(error, "not.a.token", NOW)
    assert isinstance(refused, RefusedTokenError)
    assert str(refused) == f"{refused.code}: {refused.text}"


def test_presence() -> None:
    protocol = new_protocol()
    answer, shown = joined(protocol, {"presence": {"enabled": True, "key": "ada"}})
    assert isinstance(answer, Send)
    assert shown == ShowPresence(topic=TOPIC)
    done = Send(message=reply_ok(TOPIC, "2", "1"))
    track = {"type": "presence", "event": "track", "payload": {"mood": "ok"}}
    assert protocol.receive(frame("presence", track), NOW) == [Track(topic=TOPIC, payload={"mood": "ok"}), done]
    assert protocol.receive(frame("presence", {"event": "untrack"}), NOW) == [Untrack(topic=TOPIC), done]
    refused = protocol.receive(frame("presence", {"event": "track", "payload": [1]}), NOW)
    assert reason(refused) == "Presence track payload must be a map"
    assert protocol.receive(frame("presence", {"event": "dance"}), NOW) == []


def test_a_private_channel_says_only_what_it_may_write() -> None:
    protocol = new_protocol()
    joined(protocol, {"private": True, "broadcast": {"ack": True}})
    (guarded,) = protocol.receive(frame("broadcast", {"event": "e"}), NOW)
    assert isinstance(guarded, IfWritable)
    assert [type(effect) for effect in guarded.effects] == [FanOut, Send]
    assert (guarded.extension, guarded.otherwise) == (Extension.BROADCAST, ())
    (guarded,) = protocol.receive(frame("presence", {"event": "track", "payload": {}}), NOW)
    assert isinstance(guarded, IfWritable)
    assert guarded.extension is Extension.PRESENCE
    assert guarded.otherwise == (Send(message=reply_error(TOPIC, "2", "1", {})),)


def test_a_channel_nobody_lets_in_is_refused_or_ended() -> None:
    protocol = new_protocol()
    (subscribe,) = protocol.receive(join_frame({"private": True}), NOW)
    assert isinstance(subscribe, Subscribe)
    effects = protocol.stood(subscribe.channel, Denied(reason="Unauthorized: no"))
    assert effects[0] == Unsubscribe(topic=TOPIC)
    assert reason(effects) == "Unauthorized: no"
    joined(protocol, {"private": True})
    (subscribe,) = protocol.receive(frame("access_token", {"access_token": "other@5000"}), NOW)
    assert isinstance(subscribe, Subscribe)
    notice, closing = sent(protocol.stood(subscribe.channel, Denied(reason="Unauthorized: no")))
    assert (notice.payload["message"], closing) == ("Unauthorized: no", close(TOPIC, "1"))
    assert protocol.channels == ()


def test_older_broadcasts_come_after_the_answer_and_are_25_at_most() -> None:
    protocol = new_protocol()
    replay = {"since": 1000, "limit": 900}
    effects = joined(protocol, {"private": True, "broadcast": {"replay": replay, "replication_ready": True}})
    assert [type(effect) for effect in effects] == [Send, Replay, Send]
    assert isinstance(effects[1], Replay)
    assert effects[1].channel.join.replay is not None
    assert effects[1].channel.join.replay.limit == 25
    assert sent(effects)[1] == system(TOPIC, ok=True, message="Replication connection established", extension="system")


def test_a_new_token_nobody_can_judge_sends_the_client_away_to_come_back() -> None:
    protocol = new_protocol()
    joined(protocol, {"postgres_changes": [{"schema": "public"}]})
    [subscribe] = protocol.receive(frame("access_token", {"access_token": "alice@3000"}), NOW)
    assert isinstance(subscribe, Subscribe)
    notice, end = protocol.stood(subscribe.channel, Unavailable(reason="UnableToConnectToProject: try again"))
    assert isinstance(notice, Send)
    assert (type(end), getattr(end, "code", None)) == (Disconnect, 1012)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, None),
        ({"wait": True}, 15),
        ({"wait": "true", "timeout": 500}, 0.5),
        ({"wait": True, "timeout": 10**6}, 20),
        ({"wait": True, "timeout": "soon"}, 15),
        ({"wait": True, "timeout": -1}, 15),
    ],
)
def test_how_long_a_join_may_wait(options: dict[str, Any], seconds: float | None) -> None:
    [subscribe] = new_protocol().receive(join_frame({"postgres_changes_options": options}), NOW)
    assert isinstance(subscribe, Subscribe)
    assert subscribe.channel.join.wait_s == seconds
