"""Asking a Supabase over HTTP: is it one, whose keys are these, what does its database say, what may a visitor do."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx

from orchestrator.doctor.findings import Finding, fail, listing, ok
from orchestrator.doctor.keys import PUBLIC, SERVICE, Access
from orchestrator.doctor.schema import MIGRATE, judge_clock, judge_grants, judge_migrations, judge_tables, judge_version
from orchestrator.verbs import VERSION

NOBODY = UUID(int=0)
# What a visitor's page reads, and what is behind the scenes.
SHOWN = (
    "agent_stacks",
    "stack_status",
    "project_ideas",
    "todos",
    "messages",
    "user_messages",
    "artifacts",
    "agent_traces",
)
HIDDEN = ("agent_executions", "llm_calls", "agent_states", "workers", "stack_schedule", "message_reads")
_NO_SUCH_FUNCTION = frozenset({"PGRST202", "42883"})
_DENIED = frozenset({"42501", "PGRST301", "401"})
_PAUSED = frozenset({540})


class NotAnsweredError(Exception):
    """The database was asked and gave no usable answer; the text says which."""

    def __init__(self, said: str, code: str = "") -> None:
        super().__init__(said)
        self.code = code


class Door:
    """One Supabase with one of its keys."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str) -> None:
        self._http = http
        self._url = url
        # Old keys are JWTs and count in both places; of the new ones the gateway makes a token.
        self._headers = {"apikey": key, "authorization": f"Bearer {key}"}

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request with the key. Raises httpx.HTTPError where there is no answer."""
        headers = {**self._headers, **options.pop("headers", {})}
        return await self._http.request(method, self._url + path, headers=headers, **options)

    async def call(self, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function of the database. Raises NotAnsweredError where it is refused."""
        answer = await self.ask("POST", f"/rest/v1/rpc/{verb}", json={"request": request})
        body = body_of(answer)
        if answer.is_success and isinstance(body, dict):
            return body
        told = body if isinstance(body, dict) else {}
        said = str(told.get("message") or f"HTTP {answer.status_code}")
        raise NotAnsweredError(said, str(told.get("code") or answer.status_code))


def body_of(answer: httpx.Response) -> Any:
    """The JSON of an answer, or None."""
    try:
        return answer.json()
    except ValueError:
        return None


async def check_address(http: httpx.AsyncClient, access: Access) -> Finding:
    """Is a Supabase there?"""
    key = access.service_key or access.public_key or ""
    started = time.monotonic()
    answer = await Door(http, access.url, key).ask("GET", "/auth/v1/health")
    took = (time.monotonic() - started) * 1_000
    body = body_of(answer)
    if isinstance(body, dict) and answer.is_success and body.get("name") == "GoTrue":
        return ok("address", f"{access.url} is a Supabase and answers in {took:.0f} ms ({access.found})")
    if isinstance(body, dict) and answer.status_code in {401, 403} and {"message", "msg"} & set(body):
        return ok("address", f"{access.url} answers in {took:.0f} ms ({access.found})")  # the keys have their own lines
    if answer.status_code in _PAUSED:
        return fail("address", f"the project at {access.url} is paused", "restore it on its page at supabase.com")
    if answer.status_code >= 500:
        said = f"{access.url} answers with HTTP {answer.status_code}"
        return fail("address", said, "look whether the project is healthy, then try again")
    said = f"{access.url} answers, but not as a Supabase does (HTTP {answer.status_code} for /auth/v1/health)"
    return fail(
        "address", said, "check SUPABASE_URL: it is the API's address, as http://127.0.0.1:54321, without a path"
    )


async def check_service_key(http: httpx.AsyncClient, access: Access) -> Finding:
    """May this key do what only the service key of this project may?"""
    answer = await Door(http, access.url, access.service_key or "").ask("GET", "/auth/v1/admin/users?page=1&per_page=1")
    if answer.is_success:
        return ok(SERVICE, f"{access.service_name} is accepted")
    todo = f"copy the secret (or service_role) key of the project at {access.url} into {access.service_name}"
    if answer.status_code in {401, 403}:
        return fail(
            SERVICE, f"{access.url} does not accept {access.service_name}: it is of another project, or old", todo
        )
    return fail(SERVICE, f"{access.url} answers with HTTP {answer.status_code} to {access.service_name}", todo)


async def check_public_key(http: httpx.AsyncClient, access: Access) -> Finding:
    """Does this project take this key, and for no more than a visitor's?"""
    door = Door(http, access.url, access.public_key or "")
    todo = f"copy the publishable (or anon) key of the project at {access.url} into {access.public_name}"
    answer = await door.ask("GET", "/rest/v1/agent_stacks?select=id&limit=0")
    if answer.status_code == 401 and not _is_denied(answer, {"42501"}):
        return fail(
            PUBLIC, f"{access.url} does not accept {access.public_name}: it is of another project, or old", todo
        )
    if (await door.ask("GET", "/auth/v1/admin/users?page=1&per_page=1")).is_success:
        return fail(
            PUBLIC, f"{access.public_name} may do everything: it is a service key, and must not be public", todo
        )
    return ok(PUBLIC, f"{access.public_name} is accepted")


async def check_database(http: httpx.AsyncClient, access: Access, shipped: list[str]) -> list[Finding]:
    """Verbs, migrations, clock, publication, row security, grants."""
    door = Door(http, access.url, access.service_key or "")
    try:
        version = int((await door.call("verbs_version", {}))["version"])
    except NotAnsweredError as error:
        if error.code in _NO_SUCH_FUNCTION:
            return [fail("migrations", "the database has none of Stackbeat's functions", MIGRATE)]
        return [fail("verbs", f"the database refuses verbs_version: {error}", MIGRATE)]
    verbs = judge_version(version, VERSION)
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        inspected = await door.call("inspect", {})
    except NotAnsweredError as error:
        if error.code in _NO_SUCH_FUNCTION:
            return [verbs, fail("migrations", "not all are applied: the function inspect is missing", MIGRATE)]
        return [verbs, fail("migrations", f"the database refuses inspect: {error}", MIGRATE)]
    halfway = started + timedelta(seconds=(time.monotonic() - clock) / 2)
    return [
        judge_clock(datetime.fromisoformat(inspected["now"]), halfway),
        judge_migrations(shipped, inspected),
        verbs,
        *judge_tables(inspected["tables"]),
        judge_grants(inspected),
    ]


async def check_visitors(http: httpx.AsyncClient, access: Access) -> Finding:
    """What somebody without an account can see and do, by trying it where it changes nothing."""
    door = Door(http, access.url, access.public_key or "")
    readable: set[str] = set()

    async def read(name: str) -> None:
        if (await door.ask("GET", f"/rest/v1/{name}?select=*&limit=1")).is_success:
            readable.add(name)

    async with anyio.create_task_group() as tasks:
        for name in (*SHOWN, *HIDDEN):
            tasks.start_soon(read, name)
    faults = [f"cannot see {name}" for name in SHOWN if name not in readable]
    faults += [f"may read {name}" for name in HIDDEN if name in readable]
    nobody = f"/rest/v1/agent_stacks?id=eq.{NOBODY}"
    move = await door.ask("PATCH", nobody, json={"execution_state": "paused"})
    if not _is_denied(move):
        faults.append("can move stacks")
    if not _is_denied(await door.ask("DELETE", nobody)):
        faults.append("can delete stacks")
    # Refused for being empty by the trigger, which nobody reaches without the right to write.
    line = {"id": str(uuid4()), "stack_id": str(NOBODY), "content": " "}
    if _is_denied(await door.ask("POST", "/rest/v1/user_messages", json=line)):
        faults.append("cannot write to a stack")
    if not _is_denied(await door.ask("POST", "/rest/v1/rpc/verbs_version", json={"request": {}})):
        faults.append("can call the daemon's functions")
    if faults:
        return fail(
            "visitors", f"without an account one {listing(faults)}", "see row security and grants, or " + MIGRATE
        )
    return ok("visitors", "see what is public and may write to stacks, and nothing else")


def _is_denied(answer: httpx.Response, codes: Collection[str] = _DENIED) -> bool:
    body = body_of(answer)
    return not answer.is_success and isinstance(body, dict) and str(body.get("code")) in codes


def judge_silence(check: str, error: Exception, url: str) -> Finding:
    """What it means that a request brought no answer at all."""
    detail = str(error) or type(error).__name__
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        said = f"{url} did not answer in time"
        return fail(
            check, said, "look whether it is healthy and whether a firewall lies between; --timeout S waits longer"
        )
    return fail(check, f"cannot reach {url} ({detail})", "check the address, or start one here with `stackbeat up`")
