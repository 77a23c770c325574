"""The real Postgres of the simulation: its clock and its random ids are set, everything else is as it is in service.

Calls are synchronous and happen between two steps of the event loop, so that a verb is one point in virtual time. A
verb must never wait for a lock: the connections have a short lock time-out, and running into it is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from anyio.from_thread import start_blocking_portal

from minibase.postgres.database import clone_database, drop_database
from minibase.postgres.endpoint import Endpoint, Login

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

# Column defaults use now() and gen_random_uuid(), so these two become ours, besides internal.clock().
_DETERMINISM = """
create schema simulation;
create sequence simulation.ids;
create function simulation.at() returns timestamptz language sql stable as $$
  select coalesce(nullif(current_setting('simulation.now', true), '')::timestamptz, statement_timestamp())
$$;
create or replace function pg_catalog.now() returns timestamptz language sql stable as $$ select simulation.at() $$;
create or replace function pg_catalog.clock_timestamp() returns timestamptz language sql volatile as $$
  select simulation.at() $$;
create or replace function pg_catalog.gen_random_uuid() returns uuid language sql volatile as $$
  select md5('simulation ' || nextval('simulation.ids'))::uuid $$;
create function simulation.verb(verb text, request jsonb, at text) returns text language plpgsql as $$
declare
  answer text;
begin
  perform set_config('simulation.now', at, false);
  execute format('select public.%I($1)::text', verb) into answer using request;
  return answer;
end $$;
grant usage on schema simulation to public;
grant usage, update on sequence simulation.ids to public;
"""

_EMPTY = """
delete from public.agent_stacks; delete from public.llm_calls; delete from public.workers;
delete from internal.late_wakes; delete from internal.chat_buckets;
select setval('simulation.ids', 1, false), setval('public.agent_traces_id_seq', 1, false);
"""


@dataclass(kw_only=True)
class Database:
    """One database for one history after the other."""

    machine: psycopg.Connection  # service_role, as the verbs are called
    people: list[psycopg.Connection]  # SQL editors; more than one, since a transaction may stay open
    watcher: psycopg.Connection  # sees what is committed, changes nothing
    played: int = field(default=0)

    def empty(self) -> None:
        """As new: no rows, ids from the start."""
        for person in self.people:
            person.rollback()
        self.watcher.execute(_EMPTY)
        self.played += 1
        if self.played % 25 == 0:  # dead rows would make each history slower than the one before
            self.watcher.execute("vacuum")

    def verb(self, verb: str, body: str, now: float) -> Any:
        """The verb's answer; raises psycopg.Error."""
        query = "select simulation.verb(%s, %s::jsonb, %s)"
        row = self.machine.execute(query, (verb, body, timestamp(now)), prepare=True).fetchone()
        return orjson.loads(row[0])

    def set_clock(self, connection: psycopg.Connection, now: float) -> None:
        connection.execute("select set_config('simulation.now', %s, false)", (timestamp(now),), prepare=True)

    def ask(self, query: str, args: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """What a query of committed rows returns."""
        return self.watcher.execute(query, args, prepare=True).fetchall()


def timestamp(now: float) -> str:
    """A moment of virtual time as the database sees it."""
    return (EPOCH + timedelta(seconds=now)).isoformat()


async def _prepare(endpoint: Endpoint, name: str) -> Endpoint:
    return await clone_database(endpoint, name)


@contextmanager
def open_database(endpoint: Endpoint, name: str) -> Iterator[Database]:
    """A migrated database of that name on the server, ready for histories; dropped at the end."""
    with start_blocking_portal() as portal:
        clone = portal.call(_prepare, endpoint, name)
        try:
            with psycopg.connect(clone.dsn(Login.OWNER), autocommit=True) as owner:
                for file in sorted(MIGRATIONS.glob("*.sql")):
                    owner.execute(file.read_text())
            with psycopg.connect(clone.dsn(Login.ADMIN), autocommit=True) as admin:
                admin.execute(_DETERMINISM)
                admin.execute(f'alter database "{name}" set synchronous_commit = off')
                admin.execute(f'alter database "{name}" set jit = off')
            with (
                psycopg.connect(clone.dsn(Login.API), autocommit=True) as machine,
                psycopg.connect(clone.dsn(Login.OWNER)) as one,
                psycopg.connect(clone.dsn(Login.OWNER)) as two,
                psycopg.connect(clone.dsn(Login.ADMIN), autocommit=True) as watcher,
            ):
                machine.execute("set role service_role")
                machine.execute("""select set_config('request.jwt.claims', '{"role":"service_role"}', false)""")
                for connection, patience in ((machine, "40ms"), (one, "1ms"), (two, "1ms"), (watcher, "1s")):
                    connection.execute(f"set lock_timeout = '{patience}'")
                    connection.commit()
                yield Database(machine=machine, people=[one, two], watcher=watcher)
        finally:
            portal.call(drop_database, clone)
