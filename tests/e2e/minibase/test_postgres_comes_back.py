"""Whatever ends PostgreSQL under a running minibase: the API says "come back soon", and soon it is as before."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

import anyio
import httpx
import pytest
from project_folder import Folder, wait_for
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from minibase.postgres.server import running_on

pytestmark = pytest.mark.minibase_only("kills its Postgres")


@pytest.fixture
def served(running: Folder) -> Folder:
    """The file's minibase, and in it a table that everybody may read and write."""
    running.sql("grant all on notes to anon; delete from notes")
    return running


def kill_postmaster(folder: Folder) -> int:
    (data,) = folder.data_home().glob("postgres-[0-9][0-9]")
    pid = running_on(data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def ask(values: dict[str, str], path: str, **options: Any) -> httpx.Response:
    return httpx.request(
        options.pop("method", "GET"),
        values["API_URL"] + path,
        headers={"apikey": values["PUBLISHABLE_KEY"]},
        timeout=20,
        **options,
    )


def own_log(folder: Folder) -> str:
    return (folder.state / "minibase.log").read_text()


def test_the_api_says_503_while_postgres_cannot_come_back_and_serves_when_it_can(served: Folder) -> None:
    values = served.values()
    assert ask(values, "/rest/v1/notes", method="POST", json={"id": 1, "text": "before"}).status_code == 201
    (data,) = served.data_home().glob("postgres-[0-9][0-9]")
    settings = data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(f"{good}\nno_such_setting = 1\n")
    old = kill_postmaster(served)
    wait_for("a new start is tried in vain", lambda: "PostgreSQL did not start." in own_log(served))
    rest = ask(values, "/rest/v1/notes")
    sign_in = {"email": "a@example.com", "password": "a long one"}
    auth = ask(values, "/auth/v1/token?grant_type=password", method="POST", json=sign_in)
    settings.write_text(good)
    assert (rest.status_code, rest.json()["code"]) == (503, "PGRST000")
    assert rest.headers["retry-after"] == "1"
    assert (auth.status_code, auth.json()["error_code"]) == (503, "unexpected_failure")
    wait_for("it serves again", lambda: ask(values, "/rest/v1/notes").status_code == 200)
    assert ask(values, "/rest/v1/notes").json() == [{"id": 1, "text": "before"}]
    assert running_on(data) not in (None, old)
    log = own_log(served)
    assert "PostgreSQL ended unexpectedly." in log
    assert 'unrecognized configuration parameter "no_such_setting"' in log
    assert log.rstrip().splitlines()[-1] == "PostgreSQL runs again."
    assert "Traceback" not in log


# The client itself uses what its websocket library calls deprecated, just where it reconnects.
@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
async def test_a_subscriber_of_the_official_client_hears_of_what_follows_a_kill(served: Folder) -> None:
    values = served.values()
    heard: list[dict[str, Any]] = []
    client = AsyncRealtimeClient(values["API_URL"] + "/realtime/v1", token=values["PUBLISHABLE_KEY"])
    channel = client.channel("all-notes")
    channel.on_postgres_changes(RealtimePostgresChangesListenEvent.All, heard.append, schema="public", table="notes")
    await channel.subscribe()
    numbers = itertools.count(100)

    def write() -> None:
        ask(values, "/rest/v1/notes", method="POST", json={"id": next(numbers), "text": "a change"})

    async def until_heard() -> None:
        so_far = len(heard)
        with anyio.fail_after(30):
            while len(heard) == so_far:
                await anyio.to_thread.run_sync(write)
                await anyio.sleep(0.1)

    try:
        await until_heard()
        kill_postmaster(served)
        await until_heard()
    finally:
        await client.close()
