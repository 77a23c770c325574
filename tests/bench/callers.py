"""So many callers in a process of their own, each with one connection: it asks, waits, and asks again.

`python -m callers` reads one JSON object a line: what to ask, which way (`http`, raw, no client library between socket
and clock; or `driver`, the same statement in a transaction of the same role and claims), with how many connections, for
how many seconds. It answers a line each: `{"answers": N, "seconds": S, "ms": [...], "wrong": [...]}`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import uvloop

Ask = Callable[[], Awaitable[str]]  # answers with what was wrong, or nothing


class HttpCaller:
    """One kept connection to the API."""

    def __init__(self, plan: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._plan, self._reader, self._writer = plan, reader, writer
        lines = [f"{name}: {value}" for name, value in plan["headers"].items()]
        self._head = "\r\n".join(["host: bench", *lines]).encode()

    @staticmethod
    async def open(plan: Mapping[str, Any]) -> HttpCaller:
        address = urlsplit(plan["url"])
        return HttpCaller(plan, *await asyncio.open_connection(address.hostname, address.port))

    async def ask(self) -> str:
        number = str(random.randrange(self._plan["rows"]))
        path, body = self._plan["path"].replace("{n}", number), self._plan["body"].replace("{n}", number).encode()
        first = f"{self._plan['method']} {path} HTTP/1.1\r\n".encode()
        self._writer.write(first + self._head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        answer = await self._reader.readexactly(size)
        expected: bytes = self._plan["expects"].replace("{n}", number).encode()
        right = head.startswith(b"http/1.1 2") and expected in answer
        return "" if right else f"{head[:40]!r} {answer[:200]!r}"

    async def close(self) -> None:
        self._writer.close()


class DriverCaller:
    """One connection to the database; what the API does for a request, done by hand."""

    def __init__(self, plan: Mapping[str, Any], connection: asyncpg.Connection) -> None:
        self._plan, self._connection = plan, connection

    @staticmethod
    async def open(plan: Mapping[str, Any]) -> DriverCaller:
        return DriverCaller(plan, await asyncpg.connect(plan["dsn"], ssl=False))

    async def ask(self) -> str:
        number = random.randrange(self._plan["rows"])
        who = "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)"
        async with self._connection.transaction():
            await self._connection.fetch(who, self._plan["claims"])
            answer = str(await self._connection.fetchval(self._plan["statement"], number))
        return "" if self._plan["expects"].replace("{n}", str(number)) in answer else answer[:200]

    async def close(self) -> None:
        await self._connection.close()


async def _call(plan: Mapping[str, Any]) -> dict[str, Any]:
    kind = HttpCaller if plan["way"] == "http" else DriverCaller
    callers = [await kind.open(plan) for _ in range(plan["connections"])]
    waits: list[float] = []
    wrong: list[str] = []

    async def ask_until(end: float, ask: Ask) -> None:
        while (begin := time.perf_counter()) < end:
            if fault := await ask():
                wrong.append(fault)
            waits.append((time.perf_counter() - begin) * 1_000)

    for seconds in (min(1.0, plan["seconds"]), plan["seconds"]):  # once to warm up
        waits.clear()
        begin = time.perf_counter()
        await asyncio.gather(*(ask_until(begin + seconds, caller.ask) for caller in callers))
        took = time.perf_counter() - begin
    for caller in callers:
        await caller.close()
    return {"answers": len(waits), "seconds": took, "ms": waits, "wrong": wrong[:3]}


async def serve() -> None:
    """Do as the lines say, until they end."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _call(json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(serve())
