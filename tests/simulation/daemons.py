"""Daemons that live, freeze, crash, drain and come back, and the models they ask."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

import anyio
from simulation.loop import OWNER, Owner
from simulation.network import TIMEOUT_S, Client, Network
from simulation.team import team
from simulation.world import ModelCall, World

from orchestrator.config import Config
from orchestrator.daemon import run_daemon
from orchestrator.engine import Project
from orchestrator.facts import CycleBroke, DaemonStopped, Fact, OutcomeDropped, StackUnreadable
from orchestrator.fleet import Fleet
from orchestrator.llm.values import Fault, Provider, ProviderError, Reply, Request, Tier
from orchestrator.signals import Signal, apply_signal
from orchestrator.store import StoreError
from orchestrator.wake import Wake

LEASE_S = 5.0
HEARTBEAT_S = 1.5
_ASKED: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("asked", default=("nobody", "nothing"))


def config(slots: int) -> Config:
    return Config.build(
        {
            "supabase_url": "http://supabase.invalid",
            "service_key": "sb_secret_simulation",
            "name": "simulated",
            "cadence_s": 3.0,
            "lease_s": LEASE_S,
            "heartbeat_s": HEARTBEAT_S,
            "grace_s": 2.0,
            "slots": slots,
            "request_timeout_s": TIMEOUT_S,
            "models": {"deadline_s": 12.0},
        }
    )


class Daemon(Owner):
    """One process. Its tasks carry it as their owner, so it can be frozen as a whole."""

    def __init__(self, world: World, network: Network, number: int, *, slots: int = 3) -> None:
        super().__init__()
        self.world = world
        self.number = number
        self.label = f"daemon {number}"
        self.dead = False
        self._network = network
        self._slots = slots
        self._scope = anyio.CancelScope()
        self._signals: deque[Signal] = deque(maxlen=1_000)
        self._heard = asyncio.Event()
        self._context = contextvars.copy_context()
        self._context.run(OWNER.set, self)
        self.task = world.loop.create_task(self._live(), context=self._context)

    @property
    def ended(self) -> bool:
        return self.task.done()

    async def _live(self) -> None:
        self.world.note(self.label, "starts")
        providers: list[Provider] = [Model(self, "alpha"), Model(self, "beta")]
        project = Project(client=Client(self._network, self), listen=self._listen)  # type: ignore[arg-type]
        try:
            with self._scope:
                await run_daemon(
                    config(self._slots),
                    observer=self._observe,
                    agents=team(self.world.chance.odds),
                    providers=providers,
                    project=project,
                )
        except StoreError as error:
            self.world.note(self.label, f"cannot start: {error}")
        except Exception as error:
            self.world.find(f"{self.label} broke: {''.join(traceback.format_exception(error))[-1500:]}")
        self.world.note(self.label, "is gone")

    async def _listen(self, fleet: Fleet, wake: Wake) -> None:
        wake.ring("signals up")
        while True:
            self._heard.clear()
            while self._signals:
                apply_signal(self._signals.popleft(), fleet, wake)
            await self._heard.wait()

    def hear(self, signal: Signal, delay: float) -> None:
        self.world.loop.call_later(delay, self._hear, signal, context=self._context)

    def _hear(self, signal: Signal) -> None:
        self._signals.append(signal)
        self._heard.set()

    def _observe(self, fact: Fact) -> None:
        if isinstance(fact, DaemonStopped) and fact.abandoned:
            self.world.lossy.add(self.number)
        if isinstance(fact, CycleBroke | StackUnreadable | OutcomeDropped) and not self.dead:
            self.world.find(f"{self.label}: {fact}")

    def kill(self) -> None:
        """Gone at this instant: nothing of it reaches the database any more, and no answer reaches it.

        Its tasks wind down inside, unheard.
        """
        if not self.dead and not self.ended:
            self.world.note(self.label, "crashes")
            self.dead = True
            self.world.lossy.add(self.number)
            self.thaw()
            self._scope.cancel()

    def drain(self) -> None:
        """SIGTERM. A frozen process hears it when it goes on."""
        self.thaw()
        self._scope.cancel()

    def freeze(self) -> None:
        if not self.frozen:
            self.world.note(self.label, "freezes")
            self.world.loop.freeze(self)

    def thaw(self) -> None:
        if self.frozen:
            self.world.note(self.label, "thaws")
            self.world.loop.thaw(self)


@dataclass
class Model:
    """An in-process model. Each call has an id, which is its reply's word and the model's name in the ledger."""

    daemon: Daemon
    name: str
    simulated: bool = True
    timeout_s: float = 8.0

    def model(self, tier: Tier, role: str) -> str:
        """Its own name until this run has asked it, which is what its breaker goes by; then the call's id."""
        asked, call = _ASKED.get()
        return call if asked == self.name else self.name

    async def complete(self, request: Request) -> Reply:
        world, daemon = self.daemon.world, self.daemon
        if daemon.dead:
            await anyio.sleep_forever()
        chance, odds = world.chance.model, world.chance.odds
        stack = next(turn.content.split()[1].rstrip(":") for turn in request.turns if turn.role == "user")
        call = ModelCall(id=f"word{len(world.model_calls) + 1}", daemon=daemon.number, stack=stack)
        world.model_calls[call.id] = call
        _ASKED.set((self.name, call.id))
        world.note(daemon.label, f"asks {self.name} for {stack[:4]} {request.role}: {call.id}")
        latency, crash = chance.uniform(0.05, 1.5), chance.random() < odds.crash_at_model
        if chance.random() < odds.slow_model:
            latency = chance.uniform(LEASE_S, 2 * LEASE_S)
        fault, garbage = chance.random() < odds.failing_model, chance.random() < odds.garbage
        kind, moment = chance.randrange(4), chance.random()
        if crash:
            world.loop.call_later(latency * moment, daemon.kill)
        await anyio.sleep(latency)
        if daemon.dead:
            await anyio.sleep_forever()
        if fault:
            raise ProviderError(
                (Fault.AWAY, Fault.AWAY, Fault.BAD_REQUEST, Fault.GARBLED)[kind],
                "simulated",
                retry_after_s=1.0 if kind == 0 else None,
            )
        text = ("", "not json", '{"words": 1}', "[]")[kind] if garbage else f'{{"word": "{call.id}"}}'
        return Reply(
            text=text, finish_reason="length" if garbage and moment < 0.2 else "stop", tokens_in=9, tokens_out=3
        )


def alive(daemons: list[Daemon]) -> list[Daemon]:
    return [daemon for daemon in daemons if not daemon.dead and not daemon.ended]


async def gone(daemons: list[Daemon]) -> None:
    """Wait until all of them have ended."""
    tasks: list[Any] = [daemon.task for daemon in daemons]
    await asyncio.gather(*tasks)
