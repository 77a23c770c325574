"""The daemon's only door to the database: the verbs, through the official client, with typed answers.

Foreign errors are translated here, once, into StoreError; retries live here, once: a call marked ``persist`` is sent
again with back-off and jitter until it gets an answer, which is safe because every verb is idempotent by run id.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import anyio
import httpx
import orjson
from postgrest.exceptions import APIError
from pydantic import ValidationError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from orchestrator.config import Config
from orchestrator.connections import kept
from orchestrator.contact import Contact
from orchestrator.facts import Observer, StoreAway, StoreBack
from orchestrator.llm.values import Limit
from orchestrator.verbs import (
    VERSION,
    Answer,
    Begun,
    BudgetNow,
    Budgets,
    Claim,
    Committed,
    FinishedRun,
    Lease,
    PlannedRun,
    PrunedRows,
    Pulse,
    Settlement,
    VerbsVersion,
)

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
CONNECTIONS = 16
# Time-outs, deadlocks, serialization failures, too many connections, shutdown, recovery and the read-only mode that a
# full disk or a fail-over brings pass by themselves.
PASSING = ("08", "25006", "40", "53", "55P03", "57", "58", "PGRST00")
A = TypeVar("A", bound=Answer)


class StoreFault(StrEnum):
    AWAY = "away"  # unreachable or overloaded: passes by itself
    DENIED = "denied"  # the key is not the service key of this project
    UNMIGRATED = "unmigrated"  # a verb is missing or has another version
    REFUSED = "refused"  # the request itself is wrong: a bug on our side


class StoreError(Exception):
    """A verb brought no answer; the text is one sentence: what happened, with which verb, what to do."""

    def __init__(self, fault: StoreFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault

    @property
    def passes(self) -> bool:
        return self.fault is not StoreFault.REFUSED


class Store:
    """The verbs of version 2. One HTTP client, explicit time-outs; of the past it only knows the last contact."""

    def __init__(self, client: AsyncClient, *, url: str, worker: UUID, observer: Observer) -> None:
        self._client = client
        self._url = url
        self._worker = str(worker)
        self._observer = observer
        self._away = False
        self.contact = Contact()

    def report_away(self, verb: str, error: StoreError, retry_s: float) -> None:
        """Say that a verb failed and when it is tried again; the next answer, of any verb, ends what this begins."""
        self._away = True
        self._observer(StoreAway(verb=verb, error=str(error), retry_s=retry_s))

    async def check_version(self) -> None:
        """Raises StoreError unless daemon and database speak the same version of the verbs."""
        answer = await self._call("verbs_version", {}, VerbsVersion)
        if answer.version != VERSION:
            raise StoreError(
                StoreFault.UNMIGRATED,
                f"the database has version {answer.version} of the verbs, this daemon speaks {VERSION}: "
                "apply the migrations in supabase/migrations or run the matching daemon",
            )

    async def claim(self, terms: Mapping[str, Any], *, stack_id: UUID | None = None) -> Claim:
        """Lease what is due on these terms (``Rhythm.terms``), or one stack whatever its state."""
        chosen = {} if stack_id is None else {"stack_id": str(stack_id)}
        return await self._call("claim_due_stacks", {**terms, **chosen}, Claim)

    async def begin(self, runs: Sequence[PlannedRun]) -> Begun:
        return await self._call("begin_runs", {"runs": [run.as_wire() for run in runs]}, Begun, persist=True)

    async def commit(
        self,
        runs: Sequence[FinishedRun],
        settlements: Sequence[Settlement],
        *,
        cadence_ms: int,
        limits: Sequence[Limit] = (),
        claim: Mapping[str, Any] | None = None,
    ) -> Committed:
        """``claim`` goes with the first attempt only: what waits for its verdict must not wait for more than that."""
        request: dict[str, Any] = {
            "cadence_ms": cadence_ms,
            "runs": [run.wire for run in runs],
            "settlements": [settlement.as_wire() for settlement in settlements],
        }
        if limits:
            request |= {"limits": [limit.as_wire() for limit in limits]}
        return await self._call("commit_runs", request, Committed, persist=True, once={"claim": claim} if claim else {})

    async def heartbeat(
        self,
        leases: Sequence[Lease],
        *,
        claims: int,
        name: str,
        version: str,
        slots: int,
        lease_ms: int,
        stopping: bool = False,
    ) -> Pulse:
        request = {
            "name": name,
            "version": version,
            "slots": slots,
            "lease_ms": lease_ms,
            "leases": [{"stack_id": str(lease.stack_id), "fence": lease.fence} for lease in leases],
            "claims": claims,
            "stopping": stopping,
        }
        return await self._call("heartbeat", request, Pulse)

    async def prune(self, *, traces_days: int, runs_days: int, calls_days: int, most: int) -> PrunedRows:
        request = {"traces_days": traces_days, "runs_days": runs_days, "calls_days": calls_days, "max": most}
        return await self._call("prune", request, PrunedRows)

    async def report_breakers(self, breakers: Sequence[Mapping[str, Any]]) -> None:
        await self._call("report_breakers", {"breakers": list(breakers)}, Answer)

    async def budgets(self) -> tuple[BudgetNow, ...]:
        """The budgets and what counts against each of them now."""
        rows = self._client.table("budgets_now").select("*")
        return (await self._once("budgets_now", rows, lambda data: Budgets.model_validate({"budgets": data}))).budgets

    async def _call(
        self,
        verb: str,
        request: dict[str, Any],
        answer: type[A],
        *,
        persist: bool = False,
        once: Mapping[str, Any] | None = None,
    ) -> A:
        body = {"v": VERSION, "worker": self._worker, **request}
        first = {**body, **(once or {})}
        wait = FIRST_WAIT_S
        while True:
            try:
                return await self._once(verb, self._client.rpc(verb, {"request": first}), answer.model_validate)
            except StoreError as error:
                if not (persist and error.passes):
                    raise
                self.report_away(verb, error, wait)
            first = body
            await anyio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(LONGEST_WAIT_S, wait * 2)

    async def _once(self, verb: str, request: Any, read: Callable[[Any], A]) -> A:
        try:
            response = await request.execute()
        except APIError as error:
            raise translate(verb, error) from None
        except httpx.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise StoreError(
                StoreFault.AWAY, f"{self._url} cannot be reached ({detail}); check the address and that Supabase runs"
            ) from None
        except json.JSONDecodeError:
            raise StoreError(StoreFault.AWAY, f"{self._url} answered {verb} with something that is not JSON") from None
        try:
            result = read(response.data)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            raise StoreError(
                StoreFault.UNMIGRATED,
                f"{verb} answered in an unknown form ({'.'.join(map(str, fault['loc']))}: {fault['msg']}): "
                "daemon and migrations do not fit together",
            ) from None
        self.contact.note(result)
        if self._away:
            self._away = False
            self._observer(StoreBack(verb=verb))
        return result


def translate(verb: str, error: APIError) -> StoreError:
    """What PostgREST's, the gateway's or Postgres' own error means for the daemon."""
    code, message = str(error.code or ""), str(error.message or "no message")
    if code in {"PGRST202", "42883"}:
        return StoreError(
            StoreFault.UNMIGRATED,
            f"the database has no function {verb}: "
            "apply supabase/migrations (`supabase db push` or `minibase migrate`)",
        )
    if code == "SB002":
        return StoreError(StoreFault.UNMIGRATED, message)
    if code == "SB001":
        return StoreError(StoreFault.REFUSED, f"{verb}: {message}")
    if code in {"401", "403", "42501"} or code.startswith("PGRST3") or (not code and "key" in message.lower()):
        return StoreError(
            StoreFault.DENIED,
            f"Supabase does not accept the service key for {verb} ({message}); "
            "check SUPABASE_SERVICE_ROLE_KEY or SUPABASE_SECRET_KEY",
        )
    if not code or code.startswith(PASSING) or (code.isdigit() and len(code) == 3 and code >= "408"):
        return StoreError(StoreFault.AWAY, f"{verb} failed for now ({code or 'no code'}: {message})")
    return StoreError(StoreFault.REFUSED, f"{verb} was refused ({code}: {message})")


async def _parse_fast(response: httpx.Response) -> None:
    """Claims are large, and the official client would have them read by the slowest parser there is.

    What is not JSON raises json.JSONDecodeError, as it does with that one.
    """
    response.json = lambda **_: orjson.loads(response.content)  # type: ignore[method-assign]


@asynccontextmanager
async def open_store(config: Config, *, worker: UUID, observer: Observer) -> AsyncIterator[Store]:
    """A Store on one HTTP client of its own; nothing is sent before the first verb."""
    timeout = httpx.Timeout(config.request_timeout_s, connect=min(5.0, config.request_timeout_s))
    hooks = {"response": [_parse_fast]}
    async with httpx.AsyncClient(timeout=timeout, limits=kept(CONNECTIONS), event_hooks=hooks) as http:
        options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
        client = await acreate_client(config.supabase_url, config.service_key.get_secret_value(), options)
        yield Store(client, url=config.supabase_url, worker=worker, observer=observer)
