"""Without a database, sockets open and joins are refused in the words clients retry on."""

from __future__ import annotations

import socket
from dataclasses import replace

import orjson
import pytest
from websockets.asyncio.client import connect

from minibase.config import Config
from minibase.keys import Keyring, Secrets
from minibase.postgres.endpoint import Endpoint
from minibase.postgres.server import free_port
from minibase.realtime.app import open_realtime
from tests.integration.conftest import serve_asgi
from tests.integration.minibase.realtime.conftest import PATIENCE, Wire


async def test_joins_are_refused_and_the_rest_works(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minibase.realtime.hub.STAND_SECONDS", 0.2)
    secrets = Secrets.generate()
    nowhere = replace(endpoint, port=free_port())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/websocket?vsn=2.0.0&apikey={secrets.publishable_key}"
        async with (
            open_realtime(endpoint=nowhere, keyring=Keyring(secrets), config=Config(project_id="tests")) as app,
            serve_asgi(app, listener),
            connect(url, open_timeout=PATIENCE) as connection,
        ):
            wire = Wire(connection=connection)
            reply = await wire.join({"event": "*", "schema": "public"})
            assert reply["status"] == "error"
            assert reply["response"]["reason"].startswith("UnableToConnectToProject")
            options = {"wait": True, "timeout": 100}
            reply = await wire.join({"event": "*", "schema": "public"}, postgres_changes_options=options)
            assert reply["response"]["reason"].startswith("PostgresChangesSubscribeTimeout: ")
            assert (await wire.join())["status"] == "ok"
            await connection.send(orjson.dumps([None, "3", "phoenix", "heartbeat", {}]).decode())
            assert (await wire.next())[1] == "3"
