"""Raw websockets in a process of their own: as many as asked for, with no client library between socket and clock.

`python -m receivers` reads one JSON object a line: first what to open, then `{"report": N}` for the arrivals of so many
frames on each socket. It answers a line each: `{"ready": N}`, `{"arrivals": ...}`. Times are of the monotonic clock,
which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
import time
from array import array
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

REPORT_LIMIT_S = 60.0
_NUMBER = re.compile(rb'"n": ?(\d+)')
_EXPECTED = (b'"postgres_changes",{"ids"', b"bench-broadcast")


class Receiver(asyncio.Protocol):
    """One socket: the handshake, the join, then a time for each frame that carries a number."""

    def __init__(self, plan: Mapping[str, Any], token: str, ready: asyncio.Event) -> None:
        self._plan = plan
        self._token = token
        self._buffer = bytearray()
        self._upgraded = False
        self._ready = ready
        self.arrivals = array("q")
        self.numbers = array("q")
        self.transport: asyncio.Transport | None = None
        self.refusal = ""
        self.closed = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET /realtime/v1/websocket?vsn=2.0.0&apikey={self._plan['key']} HTTP/1.1",
            *("Host: bench", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            f"Sec-WebSocket-Key: {key}\r\n\r\n",
        )
        transport.write("\r\n".join(lines).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.refusal = self.refusal or f"the server closed the socket: {exc}"
        self._ready.set()
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._buffer += data
        if not self._upgraded and not self._upgrade():
            return
        while (frame := self._frame()) is not None:
            opcode, body = frame
            if opcode == 9:
                # The server asks every 20 s: about as often as clients beat, for a socket that says nothing is closed.
                self._write(0x8A, body)
                self._write(0x81, b'["1","2","phoenix","heartbeat",{}]')
            elif opcode != 8:
                self._take(body, now)

    def _upgrade(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if b" 101 " not in head:
            self.refusal = head.decode(errors="replace")
            self._ready.set()
        self._upgraded, self._buffer = True, bytearray(rest)
        config = {"postgres_changes": self._plan["bindings"], "broadcast": {"self": False}}
        payload = {"config": config, "access_token": self._token}
        self.say("phx_join", payload)
        return True

    def say(self, event: str, payload: Mapping[str, Any]) -> None:
        self._write(0x81, json.dumps(["1", "1", self._plan["topic"], event, payload]).encode())

    def _write(self, first: int, body: bytes) -> None:
        """A frame with a mask of zeros, which leaves the body as it is."""
        assert self.transport is not None
        size = len(body)
        head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
        self.transport.write(head + b"\0\0\0\0" + body)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        opcode, body = buffer[0] & 0x0F, bytes(buffer[start : start + size])
        del buffer[: start + size]
        return opcode, body

    def _take(self, body: bytes, now: int) -> None:
        if any(mark in body for mark in _EXPECTED):
            number = _NUMBER.search(body)
            self.numbers.append(int(number.group(1)) if number else -1)
            self.arrivals.append(now)
        elif b'"status":"error"' in body:
            self.refusal = body.decode()
            self._ready.set()
        elif b"Subscribed to PostgreSQL" in body or (b"phx_reply" in body and not self._plan["bindings"]):
            self._ready.set()


async def serve() -> None:
    """Do as the lines say, until they end."""
    lines = await _lines()
    plan = json.loads(await lines.readline())
    address = urlsplit(plan["url"])
    loop = asyncio.get_running_loop()
    receivers: list[Receiver] = []
    for number in range(plan["sockets"]):
        ready = asyncio.Event()
        token = plan["tokens"][number % len(plan["tokens"])]
        _, receiver = await loop.create_connection(
            lambda token=token, ready=ready: Receiver(plan, token, ready), address.hostname, address.port
        )
        receivers.append(receiver)
        await asyncio.wait_for(ready.wait(), REPORT_LIMIT_S)
        if receiver.refusal:
            sys.exit(f"socket {number} was refused: {receiver.refusal}")
    _say({"ready": len(receivers)})
    while line := await lines.readline():
        await _report(receivers, json.loads(line)["report"])


async def _report(receivers: list[Receiver], wanted: int) -> None:
    """Everything that arrived since the last report, once each socket has so many frames or time is up."""
    deadline = time.monotonic() + REPORT_LIMIT_S
    while any(len(each.arrivals) < wanted for each in receivers) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    arrivals = [list(zip(each.numbers, each.arrivals, strict=True)) for each in receivers]
    _say({"arrivals": arrivals, "refusals": [each.refusal for each in receivers if each.refusal]})
    for each in receivers:
        each.numbers, each.arrivals = array("q"), array("q")


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(value: Mapping[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
