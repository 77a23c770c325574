"""`stackbeat doctor` against a real Supabase dialect: all well, and every fault by the sentence that tells it."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import monotonic
from typing import Any

import anyio
import httpx
import pytest

from orchestrator.bench.cut import cut_realtime
from orchestrator.doctor.examine import Report, examine_supabase
from orchestrator.doctor.findings import Finding, Level
from orchestrator.doctor.keys import PUBLIC, SERVICE, Access
from orchestrator.doctor.supabase import check_database, check_visitors

from .conftest import World

pytestmark = pytest.mark.minibase_only("breaks the database, to hear it told")

OTHER_SECRET = "sb_secret_abcdefghijklmnopqrstuv_12345678"
OTHER_PUBLIC = "sb_publishable_abcdefghijklmnopqrstuv_12345678"


async def examine(
    url: str, service: str | None, public: str | None, *, shipped: tuple[str, ...] = (), limit_s: float = 10
) -> Report:
    access = Access(url=url, service_key=service, public_key=public)
    report = await examine_supabase(access, shipped=list(shipped), limit_s=limit_s)
    told = str(report)
    assert not any(key and key in told for key in (service, public)), "no key is ever told"
    return report


async def examine_world(world: World, **options: Any) -> Report:
    return await examine(world.url, world.key, world.public_key, **options)


def found(report: Report, check: str) -> Finding:
    findings = [finding for finding in report.findings if finding.check == check]
    assert len(findings) == 1, report
    return findings[0]


def levels(report: Report) -> dict[str, Level]:
    return {finding.check: finding.level for finding in report.findings}


def assert_told(finding: Finding, level: Level, said: str, todo: str) -> None:
    assert finding.level is level, finding
    assert said in finding.said
    assert todo in finding.todo


async def test_all_is_well_and_the_examination_leaves_no_trace(world: World) -> None:
    await world.stack("Owls")
    before = await world.admin.fetch("select * from agent_stacks")
    report = await examine_world(world)
    assert report.healthy, report
    assert set(levels(report).values()) == {Level.OK}
    assert list(levels(report)) == [
        "address",
        SERVICE,
        PUBLIC,
        "clock",
        "migrations",
        "verbs",
        "publication",
        "row security",
        "grants",
        "visitors",
        "realtime, service key",
        "realtime, public key",
    ]
    assert report.skipped == ()
    assert re.search(r"heard after \d+ ms", found(report, "realtime, public key").said)
    assert await world.admin.fetch("select * from agent_stacks") == before
    assert await world.admin.fetchval("select count(*) from messages") == 0
    assert await world.admin.fetchval("select count(*) from user_messages") == 0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong in a database, how to mend it, and what the doctor says about it."""

    sql: str
    undo: str = ""
    check: str
    level: Level = Level.FAIL
    said: str
    todo: str


FAULTS = [
    Fault(
        sql="alter publication supabase_realtime drop table public.todos",
        undo="alter publication supabase_realtime add table public.todos",
        check="publication",
        said="todos is not in the publication supabase_realtime, so nobody sees it change",
        todo="run as SQL: alter publication supabase_realtime add table public.todos;",
    ),
    Fault(
        sql="alter publication supabase_realtime add table public.stack_schedule",
        undo="alter publication supabase_realtime drop table public.stack_schedule",
        check="publication",
        said="stack_schedule is published, which costs a message for every write",
        todo="alter publication supabase_realtime drop table public.stack_schedule;",
    ),
    Fault(
        sql="alter table public.todos replica identity nothing",
        undo="alter table public.todos replica identity default",
        check="publication",
        said="todos's replica identity is nothing, not default",
        todo="alter table public.todos replica identity default;",
    ),
    Fault(
        sql="alter table public.todos disable row level security",
        undo="alter table public.todos enable row level security",
        check="row security",
        said="row-level security is off on todos",
        todo="alter table public.todos enable row level security;",
    ),
    Fault(
        sql='alter policy "operators control" on public.agent_stacks rename to "mislaid"',
        undo='alter policy "mislaid" on public.agent_stacks rename to "operators control"',
        check="row security",
        said='agent_stacks lacks its policy "operators control" (UPDATE authenticated)',
        todo="as in supabase/migrations",
    ),
    Fault(
        sql='create policy "oops" on public.agent_stacks for update to authenticated using (true)',
        undo='drop policy "oops" on public.agent_stacks',
        check="policies",
        level=Level.WARN,
        said='not from our migrations: "oops" on agent_stacks (UPDATE authenticated)',
        todo="let nobody do more",
    ),
    Fault(
        sql="grant select on public.llm_calls to anon",
        undo="revoke select on public.llm_calls from anon",
        check="grants",
        said="anon may select on llm_calls",
        todo="run as SQL: revoke select on public.llm_calls from anon;",
    ),
    Fault(
        sql="grant select on public.llm_calls to anon",
        undo="revoke select on public.llm_calls from anon",
        check="visitors",
        said="without an account one may read llm_calls",
        todo="see row security and grants",
    ),
    Fault(
        sql="grant delete on public.agent_stacks to anon",
        undo="revoke delete on public.agent_stacks from anon",
        check="visitors",
        said="without an account one can delete stacks",
        todo="see row security and grants",
    ),
    Fault(
        sql="grant update on public.agent_stacks to anon",
        undo="revoke update on public.agent_stacks from anon",
        check="visitors",
        said="without an account one can move stacks",
        todo="see row security and grants",
    ),
    Fault(
        sql="revoke select on public.todos from anon",
        undo="grant select on public.todos to anon",
        check="visitors",
        said="without an account one cannot see todos",
        todo="see row security and grants",
    ),
    Fault(
        sql="revoke insert (content) on public.user_messages from anon",
        undo="grant insert (content) on public.user_messages to anon",
        check="visitors",
        said="without an account one cannot write to a stack",
        todo="see row security and grants",
    ),
    Fault(
        sql="grant execute on function public.verbs_version(jsonb) to anon",
        undo="revoke execute on function public.verbs_version(jsonb) from anon",
        check="visitors",
        said="without an account one can call the daemon's functions",
        todo="see row security and grants",
    ),
    Fault(
        sql="grant execute on function public.prune(jsonb) to authenticated",
        undo="revoke execute on function public.prune(jsonb) from authenticated",
        check="grants",
        said="authenticated may call public.prune(jsonb)",
        todo="revoke execute on function public.prune(jsonb) from public, authenticated;",
    ),
    Fault(
        sql="revoke insert on public.workers from service_role",
        undo="grant insert on public.workers to service_role",
        check="grants",
        said="service_role may not insert on workers",
        todo="grant insert on public.workers to service_role;",
    ),
    Fault(
        sql="create table internal.test_clock as select now() + interval '1 hour' as at; "
        "grant select on internal.test_clock to public",
        undo="drop table internal.test_clock",
        check="clock",
        said="s ahead of ours",
        todo="set this machine's clock by NTP",
    ),
    Fault(
        sql="create table internal.test_clock as select now() - interval '20 seconds' as at; "
        "grant select on internal.test_clock to public",
        undo="drop table internal.test_clock",
        check="clock",
        level=Level.WARN,
        said="s behind ours",
        todo="set this machine's clock by NTP",
    ),
    Fault(
        sql="alter function public.blink(jsonb) rename to blank",
        undo="alter function public.blank(jsonb) rename to blink",
        check="grants",
        said="the function public.blink(jsonb) is missing",
        todo="apply supabase/migrations",
    ),
    Fault(
        sql="create or replace function public.verbs_version(request jsonb default '{}') returns jsonb "
        """language sql as $$ select '{"v": 1, "version": 1}'::jsonb $$""",
        check="verbs",
        said="the database has version 1 of the verbs, this program speaks 2",
        todo="apply supabase/migrations: `supabase db push`",
    ),
    Fault(
        sql="create or replace function public.verbs_version(request jsonb default '{}') returns jsonb "
        """language sql as $$ select '{"v": 3, "version": 3}'::jsonb $$""",
        check="verbs",
        said="the database has version 3 of the verbs, this program speaks 2",
        todo="install the newer Stackbeat",
    ),
    Fault(
        sql="drop table public.artifact_bodies cascade",
        check="migrations",
        said="tables are missing: artifact_bodies",
        todo="apply supabase/migrations",
    ),
    Fault(
        sql="drop function public.inspect(jsonb)",
        check="migrations",
        said="not all are applied: the function inspect is missing",
        todo="apply supabase/migrations",
    ),
]


async def test_faults_of_the_database_are_told(world: World) -> None:
    """One after the other in one database, each mended before the next, where that can be."""
    access = Access(url=world.url, service_key=world.key, public_key=world.public_key)
    async with httpx.AsyncClient(timeout=20) as http:
        for fault in FAULTS:
            await world.admin.execute(fault.sql)
            with anyio.fail_after(20):
                told = await _telling(http, access, fault)
            assert_told(told, fault.level, fault.said, fault.todo)
            if fault.undo:
                await world.admin.execute(fault.undo)


async def _telling(http: httpx.AsyncClient, access: Access, fault: Fault) -> Finding:
    """The finding that tells the fault; the API may read the catalogue anew a moment after it changed."""
    while True:
        visiting = fault.check == "visitors"
        found = [await check_visitors(http, access)] if visiting else await check_database(http, access, [])
        for finding in found:
            if finding.check == fault.check and fault.said in finding.said:
                return finding


async def test_a_table_nobody_publishes_silences_realtime(world: World) -> None:
    await world.admin.execute("alter publication supabase_realtime drop table public.messages")
    report = await examine_world(world)
    for check in ("realtime, service key", "realtime, public key"):
        assert_told(found(report, check), Level.FAIL, "no subscription to messages", "see publication")
    assert "messages is not in the publication" in found(report, "publication").said
    assert not report.healthy


async def test_migrations_that_wait_or_are_newer_are_named(world: World) -> None:
    await world.admin.execute("create schema if not exists supabase_migrations")
    await world.admin.execute("create table supabase_migrations.schema_migrations (version text primary key)")
    await world.admin.execute("insert into supabase_migrations.schema_migrations values ('1'), ('2')")
    waiting = found(await examine_world(world, shipped=("1", "2", "3")), "migrations")
    assert_told(waiting, Level.FAIL, "1 not applied: 3", "`minibase migrate`")
    newer = found(await examine_world(world, shipped=("1",)), "migrations")
    assert_told(newer, Level.WARN, "the database has newer ones than this program: 2", "install the newer Stackbeat")


async def test_a_supabase_without_our_migrations_is_told(serve_api: Any) -> None:
    async with serve_api() as api:
        report = await examine(api.url, api.secrets.secret_key, api.secrets.publishable_key)
    assert_told(
        found(report, "migrations"), Level.FAIL, "the database has none of Stackbeat's functions", "`supabase db push`"
    )
    assert "realtime, because of the migrations" in report.skipped


async def test_realtime_out_of_reach_is_told(world: World) -> None:
    async with cut_realtime(world.url) as address:
        report = await examine(address, world.key, world.public_key)
    for check in ("realtime, service key", "realtime, public key"):
        todo = f"proxies let websockets through to {address.replace('http', 'ws')}/realtime/v1/websocket"
        assert_told(found(report, check), Level.FAIL, "changes are not heard: ", todo)
    assert {check for check, level in levels(report).items() if level is Level.FAIL} == {
        "realtime, service key",
        "realtime, public key",
    }


async def test_swapped_keys_are_told(world: World) -> None:
    report = await examine(world.url, world.public_key, world.key)
    said = "the keys are swapped: SUPABASE_SECRET_KEY holds the public one, SUPABASE_PUBLISHABLE_KEY the service key"
    assert_told(found(report, SERVICE), Level.FAIL, said, "exchange them")


async def test_keys_of_another_project_are_told(world: World) -> None:
    report = await examine(world.url, OTHER_SECRET, OTHER_PUBLIC)
    for check, name in ((SERVICE, "SUPABASE_SECRET_KEY"), (PUBLIC, "SUPABASE_PUBLISHABLE_KEY")):
        said = f"does not accept {name}: it is of another project, or old"
        assert_told(found(report, check), Level.FAIL, said, f"of the project at {world.url} into {name}")
    assert report.skipped == (
        "database and realtime, because of the service key",
        "visitors, because of the public key",
    )


@pytest.mark.parametrize("service_key_is_good", [True, False])
async def test_a_service_key_where_the_public_one_belongs_is_told(world: World, service_key_is_good: bool) -> None:
    report = await examine(world.url, world.key if service_key_is_good else None, world.key)
    said = "holds the service key: whoever opens the dashboard could do everything"
    assert_told(found(report, PUBLIC), Level.FAIL, said, "copy the publishable (or anon) key")
    if not service_key_is_good:
        assert_told(found(report, SERVICE), Level.FAIL, "not set", "set SUPABASE_SECRET_KEY")


def jwt(**claims: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2ln"


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (jwt(role="service_role", ref="abcd"), "does not accept SUPABASE_SECRET_KEY"),
        (jwt(role="anon"), "SUPABASE_SECRET_KEY holds a public key"),
        (jwt(role="authenticated"), "SUPABASE_SECRET_KEY holds a key of role 'authenticated'"),
        ("hush-hush", "SUPABASE_SECRET_KEY is not a Supabase key"),
    ],
)
async def test_a_wrong_service_key_is_told(world: World, service: str, said: str) -> None:
    report = await examine(world.url, service, world.public_key)
    assert_told(found(report, SERVICE), Level.FAIL, said, "SUPABASE_SECRET_KEY")
    assert levels(report)[PUBLIC] is Level.OK
    assert levels(report)["visitors"] is Level.OK


async def test_no_public_key_is_a_warning(world: World) -> None:
    report = await examine(world.url, world.key, None)
    assert_told(found(report, PUBLIC), Level.WARN, "the dashboard cannot be served", "SUPABASE_PUBLISHABLE_KEY")
    assert report.healthy


async def test_nobody_at_the_address_is_told() -> None:
    report = await examine("http://127.0.0.1:9", OTHER_SECRET, None)
    assert_told(found(report, "address"), Level.FAIL, "cannot reach http://127.0.0.1:9", "`stackbeat up`")


@contextmanager
def web_server(status: int, kind: str, body: bytes) -> Iterator[str]:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "body", "said"),
    [
        (200, "text/html", b"<h1>Welcome</h1>", "answers, but not as a Supabase does (HTTP 200"),
        (404, "application/json", b'{"detail": "Not Found"}', "answers, but not as a Supabase does (HTTP 404"),
        (200, "application/json", b"[1]", "answers, but not as a Supabase does"),
        (540, "text/plain", b"", "is paused"),
        (503, "text/plain", b"", "answers with HTTP 503"),
    ],
)
async def test_a_web_server_that_is_no_supabase_is_told(status: int, kind: str, body: bytes, said: str) -> None:
    with web_server(status, kind, body) as url:
        report = await examine(url, OTHER_SECRET, OTHER_PUBLIC)
    address = found(report, "address")
    assert address.level is Level.FAIL
    assert said in address.said
    assert address.todo
    assert levels(report) == {"address": Level.FAIL}


async def test_a_server_that_never_answers_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        report = await examine(url, OTHER_SECRET, OTHER_PUBLIC, limit_s=0.5)
        took = monotonic() - started
    assert_told(found(report, "address"), Level.FAIL, f"{url} did not answer in time", "--timeout S waits longer")
    assert took < 5
