"""Whatever a client sends, a socket's protocol answers or ignores; whatever it does not read, memory stays bounded."""

from __future__ import annotations

import json

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.realtime import joins
from minibase.realtime.effects import Stood, Subscribe
from minibase.realtime.inbox import MAX_BYTES, Inbox
from minibase.realtime.limits import Limits
from minibase.realtime.messages import ClientEvent, CloseCode, TextFrame, Version
from minibase.realtime.protocol import Protocol
from minibase.realtime.socket import Outbox
from minibase.realtime.tokens import Claims, parse_claims
from minibase.realtime.wire import encode

KEYS = (
    *("config", "postgres_changes", "event", "schema", "table", "filter", "select", "broadcast", "presence"),
    *("private", "self", "ack", "key", "enabled", "access_token", "wait", "postgres_changes_options", "payload"),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
payloads = st.dictionaries(st.sampled_from(["config", "access_token", "user_token", "event", "payload"]), json_values)


@settings(max_examples=40, deadline=None)
@given(payload=payloads)
def test_any_join_payload_parses(payload: dict[str, object]) -> None:
    join = joins.parse(payload)
    assert not (join.problem and join.bindings)
    json.dumps(join.echoes)


def admit_all(token: str) -> Claims:
    return parse_claims({"role": "anon", "exp": 2_000_000_000})


frames = st.builds(
    TextFrame,
    topic=st.sampled_from(["realtime:a", "realtime:", "phoenix", "a", ""]),
    event=st.sampled_from([*ClientEvent, "other"]),
    payload=payloads,
    ref=st.sampled_from([None, "1", "2"]),
    join_ref=st.sampled_from([None, "1", "2"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(frames, max_size=12), st.sampled_from(Version))
def test_any_history_is_survived_and_every_answer_can_be_framed(history: list[TextFrame], version: Version) -> None:
    protocol = Protocol(token="t", verify=admit_all, limits=Limits())
    for frame in history:
        effects = list(protocol.receive(frame, 0))
        for effect in effects:
            if isinstance(effect, Subscribe):
                effects += protocol.stood(effect.channel, Stood())
            message = getattr(effect, "message", None)
            if message is not None:
                assert encode(version, message) is not None
    assert len({channel.topic for channel in protocol.channels}) == len(protocol.channels)


@pytest.mark.parametrize("role", [None, "", 5])
def test_claims_without_a_role_are_refused(role: object) -> None:
    with pytest.raises(Exception, match="role"):
        parse_claims({"role": role, "exp": 1})


def test_an_outbox_nobody_reads_closes_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minibase.realtime.socket.MAX_WAITING_FRAMES", 3)
    outbox = Outbox(Version.V1)
    for _ in range(3):
        outbox.send_frame("x")
    assert outbox.closing is None
    outbox.send_frame("x")
    assert outbox.closing is not None
    assert outbox.closing[0] == CloseCode.TRY_LATER
    outbox.send_frame("x")
    assert outbox.is_empty


async def test_an_inbox_takes_no_more_than_it_may_hold() -> None:
    inbox = Inbox()
    large = b"x" * (MAX_BYTES // 2)
    taken = 0

    async def fill() -> None:
        nonlocal taken
        for _ in range(5):
            await inbox.put(large)
            taken += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill)
        await anyio.wait_all_tasks_blocked()
        assert taken == 2
        for number in range(5):
            assert await inbox.take() == large
            await anyio.wait_all_tasks_blocked()
            assert taken == min(5, number + 3)


async def test_a_frame_of_any_size_fits_an_empty_inbox() -> None:
    inbox = Inbox()
    await inbox.put("x" * (MAX_BYTES + 1))
    assert len(await inbox.take()) == MAX_BYTES + 1
