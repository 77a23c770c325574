"""One history: from a seed to a verdict."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from simulation.chance import Chance
from simulation.checks import Watch, check_at_rest
from simulation.daemons import LEASE_S, Daemon, alive, gone
from simulation.database import Database
from simulation.loop import StuckError, virtual_loop
from simulation.network import Network
from simulation.people import People
from simulation.world import World

LONGEST_REST_S = 900.0
SHOWN = 120

_QUIET = """
select (select count(*) from public.agent_executions where status = 'running')
  + (select count(*) from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
     where a.execution_state = 'running' and (s.due_at is not null or s.lease_owner is not null))
  + (select count(*) from internal.late_wakes w join public.agent_stacks a on a.id = w.stack_id
     where a.execution_state = 'running')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    seed: int
    findings: tuple[str, ...]
    log: tuple[str, ...]

    def explain(self) -> str:
        """What was found, what led there, and how to see it again."""
        first = next((n for n, line in enumerate(self.log) if " FINDING " in line), len(self.log))
        return "\n".join(
            [
                f"seed {self.seed} broke {len(self.findings)} rules:",
                *(f"  - {finding}" for finding in self.findings[:10]),
                f"the {SHOWN} events before the first of them:",
                *self.log[max(0, first - SHOWN) : first + 5],
                f"to play it again: pytest tests/simulation -k one_seed --seed {self.seed}",
            ]
        )


def places(seed: int) -> int:
    """How many daemons a history has at a time: one in every third seed, else two or three."""
    return 1 + seed % 3


def find_first(seeds: Iterable[int], database: Database) -> Verdict | None:
    """Play the seeds in order; the first history that broke a rule, if one does."""
    verdicts = (play(seed, database) for seed in seeds)
    return next((verdict for verdict in verdicts if verdict.findings), None)


def play(seed: int, database: Database) -> Verdict:
    """Play the history of that seed on an empty database."""
    database.empty()
    ids = random.Random(f"ids {seed}")
    with virtual_loop() as loop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128), version=4))
        random.seed(f"jitter {seed}")
        world = World(seed=seed, loop=loop, database=database, chance=Chance(seed))
        try:
            loop.run_until_complete(_History(world).play())
        except StuckError as error:
            world.find(str(error))
            _abandon(loop)
    return Verdict(seed=seed, findings=tuple(world.findings), log=tuple(world.log))


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """End what a stuck history left, so that no warning of it hides its finding."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


class _History:
    def __init__(self, world: World) -> None:
        self.world = world
        self.watch = Watch(world=world)
        self.network = Network(world=world, watch=self.watch)
        self.daemons: list[Daemon] = []

    async def play(self) -> None:
        chance = self.world.chance.operations
        end = chance.uniform(8, 30)
        people = People(world=self.world, daemons=self.daemons)
        async with asyncio.TaskGroup() as group:
            group.create_task(people.live(end))
            for _ in range(places(self.world.seed)):
                group.create_task(self._keep_a_daemon(end, chance.choice((0.0, 0.5, 3.0))))
            if chance.random() < 0.5:
                group.create_task(self._outages(end))
            group.create_task(self._look_now_and_then(end))
        await self._come_to_rest(people)

    # Faults ------------------------------------------------------------------------------------------------------

    def _start(self, *, slots: int = 3) -> Daemon:
        daemon = Daemon(self.world, self.network, len(self.daemons) + 1, slots=slots)
        self.daemons.append(daemon)
        return daemon

    async def _keep_a_daemon(self, end: float, after: float) -> None:
        """One place where a daemon runs, until it is killed, frozen, told to end, or ends by itself."""
        chance = self.world.chance.operations
        harm = chance.choice((0.0, 0.05, 0.15))
        await asyncio.sleep(after)
        daemon = self._start()
        while self.world.now < end:
            await asyncio.sleep(chance.uniform(0.2, 2))
            if daemon.dead or daemon.ended:
                await asyncio.sleep(chance.uniform(0, 4))
                daemon = self._start()
            elif chance.random() < harm:
                await self._harm(daemon)

    async def _harm(self, daemon: Daemon) -> None:
        chance = self.world.chance.operations
        match chance.randrange(3):
            case 0:
                daemon.kill()
            case 1:
                daemon.freeze()
                await asyncio.sleep(chance.uniform(0.5, 2.5) * LEASE_S)
                if chance.random() < 0.2:
                    daemon.kill()
                else:
                    daemon.thaw()
            case _:
                self.world.note(daemon.label, "is told to end")
                daemon.drain()

    async def _outages(self, end: float) -> None:
        chance = self.world.chance.operations
        while self.world.now < end:
            await asyncio.sleep(chance.uniform(3, 20))
            length = chance.choice((0.5, 3.0, 12.0))
            self.world.note("network", f"is down for {length} s")
            self.network.outage_until = self.world.now + length

    async def _look_now_and_then(self, end: float) -> None:
        chance = self.world.chance.operations
        while self.world.now < end:
            await asyncio.sleep(chance.expovariate(0.35))
            self.watch.look()

    # Rest --------------------------------------------------------------------------------------------------------

    async def _come_to_rest(self, people: People) -> None:
        """All faults off, everybody plays, one fresh daemon: whatever is left has to be done, and soon."""
        self.world.note("history", "comes to rest")
        self.world.chance.odds.clear()
        self.network.outage_until = 0.0
        for daemon in alive(self.daemons):
            daemon.drain()
        await gone(self.daemons)
        people.resume_all()
        self._start(slots=20)  # nobody waits for a slot, so whoever waits is late
        await self._rest()
        people.write_a_little()
        await self._rest()
        for daemon in alive(self.daemons):
            daemon.drain()
        await gone(self.daemons)
        self.watch.look()
        check_at_rest(self.world)

    async def _rest(self) -> None:
        started = self.world.now
        while True:
            await asyncio.sleep(1.0)
            self.watch.look_for_late()
            if not self.world.on_the_way and self.world.database.ask(_QUIET) == [(0,)]:
                break
            if self.world.now - started > LONGEST_REST_S:
                self.world.find(f"no rest after {LONGEST_REST_S:g} s without a fault")
                break
        self.watch.look()
