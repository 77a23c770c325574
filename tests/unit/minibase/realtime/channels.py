"""One socket's protocol, and the frames its client sends, for tests of message in, effects out."""

from __future__ import annotations

from typing import Any

import orjson

from minibase.realtime.effects import (
    Effect,
    Send,
    Stood,
    Subscribe,
)
from minibase.realtime.limits import Limits
from minibase.realtime.messages import (
    Push,
    TextFrame,
)
from minibase.realtime.protocol import Protocol
from minibase.realtime.tokens import Claims, refusal

TOPIC = "realtime:room"
NOW = 1_000.0


def verify(token: str) -> Claims:
    """Tokens of these tests read `role@expiry`."""
    role, separator, expiry = token.partition("@")
    if not separator:
        raise refusal("malformed", token, NOW)
    return Claims(role=role, expires_at=float(expiry), text=orjson.dumps({"role": role}).decode())


def new_protocol(**limits: Any) -> Protocol:
    return Protocol(token="anon@5000", verify=verify, limits=Limits(**limits))


def frame(event: str, payload: dict[str, Any] | None = None, **fields: Any) -> TextFrame:
    return TextFrame(**{"topic": TOPIC, "event": event, "payload": payload or {}, "ref": "2", "join_ref": "1"} | fields)


def join_frame(config: dict[str, Any] | None = None, **fields: Any) -> TextFrame:
    payload = {"config": config or {}, **fields.pop("payload", {})}
    return frame("phx_join", payload, **{"ref": "1"} | fields)


def joined(protocol: Protocol, config: dict[str, Any] | None = None, **fields: Any) -> list[Effect]:
    *_, subscribe = protocol.receive(join_frame(config, **fields), NOW)
    assert isinstance(subscribe, Subscribe)
    return protocol.stood(subscribe.channel, Stood())


def sent(effects: list[Effect]) -> list[Any]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def reason(effects: list[Effect]) -> str:
    (message,) = sent(effects)
    assert isinstance(message, Push)
    assert message.payload["status"] == "error"
    return str(message.payload["response"]["reason"])
