"""What is refused, in which words, and that nobody else notices: the lines of the protocol that every server keeps."""

from __future__ import annotations

import base64
import time
from typing import Any

import orjson
import pytest
from place import Place
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.realtime.conftest import PATIENCE, Dial, Wire, Writer

OPEN = {"event": "*", "schema": "public", "table": "conformance_open"}


def forged(place: Place) -> str:
    """A token with the right shape and somebody's own signature."""
    head, _, _ = place.tokens["ada"].split(".")
    claims = {"role": "service_role", "exp": int(time.time()) + 600}
    body = base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    return f"{head}.{body}.{'A' * 43}"


@pytest.mark.parametrize(
    ("query", "status"),
    [("vsn=1.0.0", 401), ("vsn=1.0.0&apikey=nonsense", 401), ("vsn=9.9.9&apikey={key}", 403)],
)
async def test_no_socket_without_a_key_or_in_an_unknown_version(place: Place, query: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{place.socket_url}?{query.format(key=place.anon_key)}", open_timeout=PATIENCE)
    assert refused.value.response.status_code == status


async def test_a_forged_token_is_refused_before_and_after_the_upgrade(place: Place, dial: Dial) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(forged(place)):
            pass
    assert refused.value.response.status_code == 401
    async with dial() as wire:
        reply = await wire.join(access_token=forged(place))
        assert (reply["status"], reply["response"]["reason"].split(":")[0]) == ("error", "JwtSignatureError")


BAD_BINDINGS = {
    "unknown table": ({**OPEN, "table": "nowhere"}, "Please check Realtime is enabled"),
    "unknown column": ({**OPEN, "filter": "nope=eq.1"}, "nope"),
    "uncastable value": ({**OPEN, "filter": "n=eq.many"}, "many"),
    "unknown operator": ({**OPEN, "filter": "n=about.5"}, "filter"),
}


@pytest.mark.parametrize("case", BAD_BINDINGS)
async def test_bad_bindings_are_refused_in_words(case: str, dial: Dial, writer: Writer, run: str) -> None:
    binding, words = BAD_BINDINGS[case]
    async with dial() as wire, dial() as bystander:
        await bystander.join(OPEN)
        assert (await bystander.until("system"))["status"] == "ok"
        await wire.join(binding)
        notice = await wire.until("system")
        assert notice["status"] == "error"
        assert words in notice["message"]
        await writer.insert("conformance_open", {"run": run, "n": 1})
        assert (await bystander.until("postgres_changes"))["data"]["record"]["run"] == run


async def test_topics(dial: Dial) -> None:
    async with dial() as wire:
        reply = await wire.join(topic="realtime:")
        assert reply["response"]["reason"].startswith("TopicNameRequired")
        for number in range(100):
            assert (await wire.join(topic=f"realtime:{number}"))["status"] == "ok"
        reply = await wire.join(topic="realtime:one too many")
        assert reply["response"]["reason"].startswith("ChannelRateLimitReached")
        await wire.push("heartbeat", {}, topic="phoenix")
        assert (await wire.until("phx_reply"))["status"] == "ok"


async def test_frames_that_are_none_leave_the_socket_up(dial: Dial) -> None:
    async with dial() as wire:
        for frame in ("", "{", "[]", "null", '["1","1",5,"phx_join",{}]', b"", b"\x03\xff\xff"):
            await wire.connection.send(frame)
        await wire.push("heartbeat", {}, topic="phoenix", ref="7")
        assert (await wire.until("phx_reply"))["status"] == "ok"


async def refused_in_the_end(wire: Wire) -> None:
    await wire.push("phx_join", {"config": {}, "filler": "x" * 5_000_001})
    await wire.until("phx_reply")


async def test_an_oversize_frame_ends_its_socket_alone(dial: Dial, writer: Writer, run: str) -> None:
    async with dial() as wire, dial() as bystander:
        await bystander.join(OPEN)
        assert (await bystander.until("system"))["status"] == "ok"
        with pytest.raises(ConnectionClosed):
            await refused_in_the_end(wire)
        await writer.insert("conformance_open", {"run": run, "n": 1})
        assert (await bystander.until("postgres_changes"))["data"]["record"]["run"] == run


async def test_a_reader_that_stops_is_closed_and_the_others_hear_everything(
    dial: Dial, writer: Writer, run: str
) -> None:
    rows: list[dict[str, Any]] = [{"run": run, "n": n, "title": "x" * 200_000} for n in range(12)]
    async with dial(max_queue=1, close_timeout=1) as stopped, dial() as reading:
        for wire in (stopped, reading):
            await wire.join({**OPEN, "filter": f"run=eq.{run}"})
            assert (await wire.until("system"))["status"] == "ok"
        for _ in range(20):  # 48 MB: more than a socket may owe
            await writer.insert("conformance_open", *rows)
            heard = [(await reading.until("postgres_changes"))["data"]["record"]["n"] for _ in rows]
            assert heard == list(range(12))
            reading.seen.clear()
        with pytest.raises(ConnectionClosed):
            await stopped.until("never said")
