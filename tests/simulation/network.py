"""The way between a daemon and the database, with everything that can happen on it.

``Client`` stands where the official client stands beneath ``orchestrator.store.Store``: a verb goes in, an answer or an
error of that client comes out. The verb itself runs on the real Postgres when the request arrives.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import psycopg
from postgrest.exceptions import APIError
from simulation.checks import Watch
from simulation.loop import OWNER
from simulation.world import World

if TYPE_CHECKING:
    from simulation.daemons import Daemon

TIMEOUT_S = 3.0
# What poisoned outcomes provoke on purpose: a NUL character in JSON. Anything else a verb raises is a finding.
EXPECTED = frozenset({"22P05"})


@dataclass(frozen=True, slots=True)
class Response:
    data: Any


@dataclass(frozen=True, slots=True)
class _Call:
    network: Network
    daemon: Daemon
    verb: str
    body: dict[str, Any]

    async def execute(self) -> Response:
        return await self.network.send(self)


@dataclass(frozen=True, slots=True)
class Client:
    network: Network
    daemon: Daemon

    def rpc(self, verb: str, params: dict[str, Any]) -> _Call:
        return _Call(self.network, self.daemon, verb, params["request"])


@dataclass(kw_only=True)
class Network:
    world: World
    watch: Watch
    outage_until: float = 0.0
    _nobody: contextvars.Context = field(default_factory=contextvars.copy_context)

    def __post_init__(self) -> None:
        # What is on the wire goes on, whoever is frozen.
        self._nobody.run(OWNER.set, None)

    async def send(self, call: _Call) -> Response:
        """The answer, or what the client would raise; a dead daemon waits for ever."""
        world, chance, odds = self.world, self.world.chance.network, self.world.chance.odds
        loop, daemon = world.loop, call.daemon
        draws = {name: chance.random() < getattr(odds, name) for name in _FAULTS}
        there, back = chance.expovariate(400), chance.expovariate(400)
        if draws["slow"]:
            there, back = there + chance.uniform(0, 2), back + chance.uniform(0, 2)
        extra, when = chance.uniform(0, 12), chance.random()
        future: asyncio.Future[Response] = loop.create_future()
        if daemon.dead:
            return await future
        if draws["crash_at_call"] and when < 0.4:
            world.note(daemon.label, f"crashes before {call.verb} leaves")
            daemon.kill()
            return await future
        if self.outage_until > world.now or draws["lost_request"]:
            await asyncio.sleep(there)
            raise httpx.ConnectError("simulated: no connection")
        body = orjson.dumps(call.body).decode()
        if draws["late_delivery"]:
            self._arrive_later(TIMEOUT_S + extra, call, body)
        elif draws["server_error"] and when < 0.5:
            loop.call_later(there, _fail, future, _server_error(chance.randrange(3)), context=self._nobody)
        else:
            broken = _server_error(chance.randrange(3)) if draws["server_error"] else None
            lost = draws["lost_answer"] or (draws["crash_at_call"] and when < 0.7)
            self._arrive_later(there, call, body, answer=None if lost else future, back=back, broken=broken)
            if draws["double_delivery"]:
                self._arrive_later(there + extra * when, call, body)
            if draws["crash_at_call"]:
                # After the commit and before the answer, or as soon as the answer is there.
                loop.call_later(there + (back / 2 if when < 0.7 else back), daemon.kill, context=self._nobody)
        timer = loop.call_later(TIMEOUT_S, _fail, future, httpx.ReadTimeout("simulated: no answer"))
        try:
            return await future
        finally:
            timer.cancel()

    def _arrive_later(
        self,
        delay: float,
        call: _Call,
        body: str,
        *,
        answer: asyncio.Future[Response] | None = None,
        back: float = 0.0,
        broken: Exception | None = None,
    ) -> None:
        """The verb runs after the delay; its answer, or what broke it, comes back where somebody waits for it."""

        def arrive() -> None:
            self.world.on_the_way -= 1
            result = self._run(call, body)
            if answer is None:
                return
            if broken is not None:
                result = broken
            if self.outage_until > self.world.now:
                return
            land = _fail if isinstance(result, Exception) else _answer
            self.world.loop.call_later(back, land, answer, result, context=self._nobody)

        self.world.on_the_way += 1
        self.world.loop.call_later(delay, arrive, context=self._nobody)

    def _run(self, call: _Call, body: str) -> Response | Exception:
        world = self.world
        self.watch.before(call.verb, call.body)
        try:
            answer = world.database.verb(call.verb, body, world.now)
        except psycopg.Error as error:
            code, message = error.sqlstate or "none", str(error).splitlines()[0]
            world.note(call.daemon.label, f"{call.verb} raised {code} {message}")
            if code not in EXPECTED:
                what = "had to wait for a lock" if code == "55P03" else f"raised {code}"
                world.find(f"{call.verb} {what}: {' / '.join(str(error).splitlines()[:4])}")
            return APIError({"code": code, "message": message, "hint": None, "details": None})
        world.note(call.daemon.label, f"{call.verb} {_short(call.verb, call.body, answer)}")
        self.watch.after(call.verb, call.body, answer)
        return Response(answer)


_FAULTS = (
    "slow",
    "lost_request",
    "lost_answer",
    "late_delivery",
    "double_delivery",
    "server_error",
    "crash_at_call",
)


def _answer(future: asyncio.Future[Response], response: Response) -> None:
    if not future.done():
        future.set_result(response)


def _fail(future: asyncio.Future[Response], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _server_error(kind: int) -> Exception:
    if kind == 0:
        return APIError({"code": "500", "message": "simulated: internal error", "hint": None, "details": None})
    if kind == 1:
        return APIError({"code": "57014", "message": "simulated: statement timeout", "hint": None, "details": None})
    return json.JSONDecodeError("simulated: a page of a proxy", "<html>", 0)


def _short(verb: str, body: dict[str, Any], answer: dict[str, Any]) -> str:
    """The call in a few words, in the order of the request: answers come in any."""
    match verb:
        case "claim_due_stacks":
            return " ".join(_claimed(answer)) or "nothing"
        case "begin_runs":
            return ", ".join(_runs(body, answer))
        case "commit_runs":
            verdicts = {settled["stack_id"]: settled["verdict"] for settled in answer["settled"]}
            ends = [
                f"settle {q['stack_id'][:4]} {verdicts[q['stack_id']]} due {q['due_in_ms']}"
                for q in body["settlements"]
            ]
            return ", ".join([*_runs(body, answer), *ends, *_claimed(answer["claimed"])])
        case "heartbeat":
            return f"{len(body['leases'])} leases, lost {len(answer['lost'])}, halted {len(answer['halted'])}"
        case _:
            return ""


def _claimed(claim: dict[str, Any] | None) -> list[str]:
    return [f"{stack['stack_id'][:4]}#{stack['fence']}" for stack in (claim or {"stacks": []})["stacks"]]


def _runs(body: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    verdicts = {run["run_id"]: run["verdict"] for run in answer["runs"]}
    return [
        f"{run['stack_id'][:4]} {run['agent']} {run['run_id'][:4]} {run.get('status', '')} {verdicts[run['run_id']]}"
        for run in body["runs"]
    ]
