"""One Supabase for the whole suite, and what its tests do there: write by REST, listen by a client or a raw socket."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect

sys.path.insert(0, str(Path(__file__).parent))
from place import Place, open_place

PATIENCE = 15.0


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with open_place(tmp_path_factory.mktemp("conformance") / "project") as opened:
        yield opened


@pytest.fixture
def run() -> str:
    """Names the rows of one test, which share their tables with those of others."""
    return uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes with the service key, by plain REST."""

    http: httpx.AsyncClient

    async def insert(self, table: str, *rows: dict[str, Any]) -> None:
        """All of them in one statement."""
        answer = await self.http.post(f"/{table}", json=list(rows))
        assert answer.status_code == 201, answer.text

    async def say(self, topic: str, n: int) -> None:
        """A broadcast from the database."""
        answer = await self.http.post("/rpc/conformance_say", json={"topic": topic, "n": n})
        assert answer.status_code in {200, 204}, answer.text


@pytest.fixture
async def writer(place: Place) -> AsyncIterator[Writer]:
    headers = {
        "apikey": place.service_key,
        "authorization": f"Bearer {place.service_key}",
        "prefer": "return=minimal",
    }
    async with httpx.AsyncClient(base_url=place.url + "/rest/v1", headers=headers, timeout=60) as http:
        yield Writer(http=http)


@dataclass(slots=True, kw_only=True)
class Wire:
    """A raw socket of version 2.0.0."""

    connection: ClientConnection
    seen: list[Any] = field(default_factory=list)

    async def push(self, event: str, payload: Any, *, topic: str = "realtime:raw", ref: str = "1") -> None:
        await self.connection.send(orjson.dumps(["1", ref, topic, event, payload]).decode())

    async def until(self, event: str) -> Any:
        """The payload of the next frame of this event."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = orjson.loads(await self.connection.recv())
                self.seen.append(frame)
                if frame[3] == event:
                    return frame[4]

    async def join(self, *bindings: dict[str, Any], topic: str = "realtime:raw", **payload: Any) -> Any:
        """Join; returns the reply's payload."""
        config = {"postgres_changes": list(bindings)}
        await self.push("phx_join", {"config": config, **payload}, topic=topic)
        return await self.until("phx_reply")


Dial = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def dial(place: Place) -> Dial:
    @asynccontextmanager
    async def open_wire(key: str | None = None, vsn: str = "2.0.0", **options: Any) -> AsyncIterator[Wire]:
        url = f"{place.socket_url}?vsn={vsn}&apikey={key or place.anon_key}"
        options = {"open_timeout": PATIENCE, "max_size": None, "compression": None, **options}
        async with connect(url, **options) as connection:
            yield Wire(connection=connection)

    return open_wire
