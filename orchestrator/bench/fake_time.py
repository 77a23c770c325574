"""Hours of a fleet in seconds: the database's clock is set, and jumps to the next moment at which something is due.

Everything else is real: the verbs behind the API, the agents, the chain of models. A cycle takes no time, or as long as
is said, so what is measured here is what is asked and written, never how fast. For databases of one's own only: a clock
that is set is set for everybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
import asyncpg

from orchestrator.cycle import CycleReport, run_cycle
from orchestrator.engine import Engine
from orchestrator.fleet import LiveCycle
from orchestrator.verbs import Claim, ClaimedStack

CLOCK = """
create table if not exists internal.test_clock (at timestamptz);
grant select on internal.test_clock to public;
truncate internal.test_clock;
insert into internal.test_clock values (date_trunc('second', now()));
"""
# Cycles of one moment, of all stacks together: beyond this somebody makes himself due for ever.
MOST_AT_ONCE = 10_000
SMALLEST_STEP = timedelta(milliseconds=1)

Happening = Callable[[asyncpg.Connection], Awaitable[None]]


class TimeStandsStillError(Exception):
    """Stacks are due again and again at one moment."""


@dataclass(kw_only=True)
class FakeTime:
    """The database's clock, and what has been played on it."""

    engine: Engine
    database: asyncpg.Connection
    now: datetime
    stage: timedelta  # what passes while the agents of a moment are at work
    cycles: list[tuple[datetime, CycleReport]] = field(default_factory=list)

    async def play(self, until: datetime, happenings: Sequence[tuple[datetime, Happening]] = ()) -> None:
        """Let stacks live until then, with what people do meanwhile. Raises StoreError, TimeStandsStillError."""
        for at, happening in sorted(happenings, key=lambda each: each[0]):
            await self._live(at)
            await happening(self.database)
        await self._live(until)

    async def _live(self, until: datetime) -> None:
        """Play what is due, at each moment when something is, up to and including ``until``."""
        while True:
            next_at = await self._settle()
            if next_at is None or next_at > until:
                break
            await self._set(max(next_at, self.now + SMALLEST_STEP))
        await self._set(max(until, self.now))

    async def _settle(self) -> datetime | None:
        """Play until nothing is due any more; returns when the next stack is."""
        first = len(self.cycles)
        while (begun := len(self.cycles)) - first < MOST_AT_ONCE:
            claim = await self.engine.store.claim(self.engine.rhythm.terms(self.engine.fleet.slots))
            if not claim.stacks:
                return claim.next_wake_at
            async with anyio.create_task_group() as group:
                for claimed in claim.stacks:
                    group.start_soon(self._cycle, claimed, claim)
            if self.stage and any(cycle.runs for _, cycle in self.cycles[begun:]):
                await self._set(self.now + self.stage)
        raise TimeStandsStillError(f"more than {MOST_AT_ONCE} cycles at {self.now}: some agent never comes to rest")

    async def _cycle(self, claimed: ClaimedStack, claim: Claim) -> None:
        live = LiveCycle(stack_id=claimed.stack_id, fence=claimed.fence, claimed_at=claim.now)
        report = await run_cycle(claimed, claim.around, live, self.engine.crew)
        self.cycles.append((self.now, report))

    async def _set(self, at: datetime) -> None:
        await self.database.execute("update internal.test_clock set at = $1", at)
        self.now = at


@asynccontextmanager
async def fake_time(engine: Engine, db_url: str, *, stage: timedelta = timedelta(0)) -> AsyncIterator[FakeTime]:
    """The clock of the database at ``db_url`` (its owner's address) stands still at this second until it is moved.

    It moves by ``stage`` whenever agents have worked.
    """
    database = await asyncpg.connect(db_url)
    try:
        await database.execute(CLOCK)
        now = await database.fetchval("select at from internal.test_clock")
        async with anyio.create_task_group() as group:
            group.start_soon(engine.committer.run)
            yield FakeTime(engine=engine, database=database, now=now, stage=stage)
            group.cancel_scope.cancel()
    finally:
        await database.close()
