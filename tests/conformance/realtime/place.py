"""The Supabase under test: the one that the environment names, else a minibase of our own.

REALTIME_URL, REALTIME_ANON_KEY and REALTIME_SERVICE_KEY name one. With REALTIME_DB_URL the schema is put
there and taken away again; without, schema.sql must have been run by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
from project_folder import Folder

HERE = Path(__file__).parent
PEOPLE = ("ada", "bob", "broken")
PASSWORD = "a password of 1 test"


@dataclass(frozen=True, kw_only=True)
class Place:
    url: str
    anon_key: str = field(repr=False)
    service_key: str = field(repr=False)
    tokens: dict[str, str] = field(repr=False, default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/realtime/v1/websocket"

    @property
    def environment(self) -> dict[str, str]:
        """For suites in other languages."""
        people = {f"REALTIME_{name.upper()}": token for name, token in self.tokens.items()}
        ids = {f"REALTIME_{name.upper()}_ID": key for name, key in self.ids.items()}
        keys = {"REALTIME_ANON_KEY": self.anon_key, "REALTIME_SERVICE_KEY": self.service_key}
        return {"PATH": os.environ["PATH"], "REALTIME_URL": self.url, **keys, **people, **ids}


@contextmanager
def open_place(folder: Path) -> Iterator[Place]:
    """A Supabase with our schema and three people, for as long as the block lasts."""
    url = os.environ.get("REALTIME_URL")
    if url:
        keys = {"anon_key": os.environ["REALTIME_ANON_KEY"], "service_key": os.environ["REALTIME_SERVICE_KEY"]}
        with _with_schema(os.environ.get("REALTIME_DB_URL")), _with_people(url.rstrip("/"), keys) as place:
            yield place
        return
    own = Folder(folder)
    try:
        own.start()
        values = own.values()
        keys = {"anon_key": values["ANON_KEY"], "service_key": values["SERVICE_ROLE_KEY"]}
        with _with_schema(values["DB_URL"]), _with_people(values["API_URL"], keys) as place:
            yield place
    finally:
        own.remove()


@contextmanager
def _with_schema(db_url: str | None) -> Iterator[None]:
    if db_url is None:
        yield
        return
    _run(db_url, "schema.sql")
    try:
        yield
    finally:
        _run(db_url, "schema_drop.sql")


def _run(db_url: str, file: str) -> None:
    with psycopg.connect(db_url, autocommit=True) as connection:
        connection.execute((HERE / file).read_bytes())


@contextmanager
def _with_people(url: str, keys: dict[str, str]) -> Iterator[Place]:
    """Ada, Bob and one whose policy raises, made by the admin API and deleted by it."""
    run, ids, tokens = uuid4().hex[:8], {}, {}
    admin = {"apikey": keys["service_key"], "authorization": f"Bearer {keys['service_key']}"}
    with httpx.Client(base_url=url + "/auth/v1", timeout=20) as auth:
        try:
            for name in PEOPLE:
                person = {"email": f"{name}.{run}@example.com", "password": PASSWORD}
                made = auth.post("/admin/users", json={**person, "email_confirm": True}, headers=admin)
                ids[name] = made.raise_for_status().json()["id"]
                headers = {"apikey": keys["anon_key"]}
                signed_in = auth.post("/token?grant_type=password", json=person, headers=headers)
                tokens[name] = signed_in.raise_for_status().json()["access_token"]
            yield Place(url=url, tokens=tokens, ids=ids, **keys)
        finally:
            for key in ids.values():
                auth.delete(f"/admin/users/{key}", headers=admin)
