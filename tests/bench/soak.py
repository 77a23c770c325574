"""Daemons are killed under a fleet at work, people interfere at random, and the tables are looked at all the while."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from fleet import Fleet
from invariants import ALWAYS, AT_THE_END, violations
from memory import rss_mb, tree_mb
from processes import clean_environment, make_workdir, stackbeat
from rows import count_rows

from orchestrator.bench.summary import summary
from orchestrator.cli.embedded import Embedded, discard_data, open_minibase
from orchestrator.cli.target import Target

LATENCY = "1-3"
LOOK_EVERY_S = 60.0
# A look goes back further than to the last one, so that nothing falls between two.
LOOK_BACK = "interval '150 seconds'"
FINISH_LIMIT_S = 300.0
STOP_LIMIT_S = 30.0
MESSAGES_EVERY_S, TODOS_EVERY_S, MOVES_EVERY_S = 0.7, 1.5, 1.0
HOLD_S = (0.5, 6.0)
BUGS = ("AgentBroke", "CycleBroke", "OutcomeDropped", "StackUnreadable")
ONE_PLAYING = "select id from agent_stacks where execution_state = 'running' order by random() limit 1"
OPEN = """
select (select count(*) from todos where created_at <= $1 and status in ('pending', 'in_progress'))
  + (select count(*) from user_messages where created_at <= $1 and status in ('waiting', 'claimed'))
  + (select count(*) from message_reads r join messages m on m.id = r.message_id
     where m.created_at <= $1 and r.status in ('waiting', 'claimed'))
"""
# A project that completed meanwhile leaves its stack idle; a play opens it again for what came too late.
PLAY_WHAT_IS_LEFT = """
update agent_stacks a set execution_state = 'running' where execution_state <> 'running' and (
  exists (select from todos t where t.stack_id = a.id and t.status in ('pending', 'in_progress'))
  or exists (select from user_messages m where m.stack_id = a.id and m.status in ('waiting', 'claimed'))
  or exists (select from message_reads r where r.stack_id = a.id and r.status in ('waiting', 'claimed')))
"""
PAUSE_ALL = "update agent_stacks set execution_state = 'paused' where execution_state = 'running'"
IN_FLIGHT = "select count(*) from agent_executions where status = 'running'"
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Memory:
    """Megabytes of one kind of process over time."""

    samples: list[float] = field(default_factory=list)

    def note(self, megabytes: float | None) -> float | None:
        if megabytes is not None:
            self.samples.append(megabytes)
        return megabytes

    def as_values(self) -> dict[str, float | None]:
        if not self.samples:
            return {"first_mb": None, "last_mb": None, "peak_mb": None}
        return {"first_mb": self.samples[0], "last_mb": self.samples[-1], "peak_mb": max(self.samples)}


@dataclass(kw_only=True)
class Daemon:
    """One `stackbeat run`, started again after each end that was meant; its facts are counted."""

    name: str
    target: Target
    log: Path
    facts: Counter[str] = field(default_factory=Counter)
    lags_ms: list[float] = field(default_factory=list)
    died: bool = False
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        """Whether it ended, now or before, without being asked to."""
        return self.died or self._process is None or self._process.returncode is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        environment = {
            "SUPABASE_URL": self.target.url,
            "SUPABASE_SECRET_KEY": self.target.service_key,
            "STACKBEAT_NAME": self.name,
            "STACKBEAT_SIMULATED_LATENCY": LATENCY,
        }
        with self.log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *stackbeat("run", "--json"),
                cwd=self.log.parent,
                env=clean_environment(environment),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=2**20,
            )
        self._reader = asyncio.create_task(self._read(self._process))

    async def end(self, sent: signal.Signals) -> None:
        """Send a signal and wait for the end; a daemon that was gone already died by itself."""
        if self._process is None or self._reader is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(sent)
        else:
            self.died = True
        async with asyncio.timeout(STOP_LIMIT_S):
            await self._process.wait()
            await self._reader

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if not line.endswith(b"\n"):
                return  # cut short by the kill
            fact = json.loads(line)
            self.facts[fact["fact"]] += 1
            if fact["fact"] == "BeatDone":
                self.lags_ms.append(fact["lag_ms"])
            elif fact["fact"] in BUGS:
                with self.log.open("ab") as log:
                    log.write(line)


@dataclass(kw_only=True)
class Soak:
    """What is at work, and what was seen of it."""

    pool: asyncpg.Pool
    api_pid: int
    postgres_pid: int
    daemons: list[Daemon]
    say: Say
    kills: int = 0
    refused: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    broken: Counter[str] = field(default_factory=Counter)
    memory: dict[str, Memory] = field(default_factory=lambda: defaultdict(Memory))

    async def kill_in_turn(self, every_s: float) -> None:
        """Kill a daemon and start it again, until it is over.

        Of several, the first lives on: its memory must stay flat.
        """
        turns = self.daemons[1:] or self.daemons
        while not await self._is_over(within_s=every_s):
            daemon = turns[self.kills % len(turns)]
            await daemon.end(signal.SIGKILL)
            self.kills += 1
            await daemon.start()

    async def _is_over(self, *, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                return await self.over.wait()
        except TimeoutError:
            return False

    async def look_again_and_again(self) -> None:
        """A line a minute, for ever."""
        for minute in itertools.count(1):
            await asyncio.sleep(LOOK_EVERY_S)
            self.say(f"{minute:3} min  {await self.look()}")

    async def look(self) -> str:
        """One look at the invariants, the memory and the rows; what it found in a line."""
        since = await self.pool.fetchval(f"select now() - {LOOK_BACK}")
        self._blame(await violations(self.pool, ALWAYS, since))
        lags = [lag for daemon in self.daemons for lag in daemon.lags_ms]
        for daemon in self.daemons:
            daemon.lags_ms.clear()
        lag = summary(lags)
        rows = await count_rows(self.pool)
        shown = " ".join(f"{name} {count}" for name, count in rows.items() if count)
        return (
            f"runs {rows['agent_executions']}  lag ms p50 {lag['p50']} p95 {lag['p95']}  kills {self.kills}"
            f"  {self.weigh()}  violations {sum(self.broken.values())}  rows: {shown}"
        )

    def weigh(self) -> str:
        """Note the memory of everybody; MB in words."""
        daemons = [self.memory["daemons"].note(rss_mb(daemon.pid)) for daemon in self.daemons]
        if len(self.daemons) > 1:
            self.memory["daemon that lives"].note(daemons[0])
        api = self.memory["api server"].note(rss_mb(self.api_pid))
        postgres = self.memory["postgres"].note(tree_mb(self.postgres_pid))
        return f"MB daemons {'/'.join(map(str, daemons))} api {api} postgres {postgres}"

    def _blame(self, found: Mapping[str, int]) -> None:
        for what, count in found.items():
            self.broken[what] = max(self.broken[what], count)
            self.say(f"VIOLATED: {what}: {count}")

    async def judge_the_end(self, moment: datetime) -> None:
        """Everything that was there at `moment` must come to an end; then every invariant over the whole time."""
        with suppress(TimeoutError):  # what has not ended by then is counted below
            async with asyncio.timeout(FINISH_LIMIT_S):
                while await self.pool.fetchval(OPEN, moment):
                    await self.pool.execute(PLAY_WHAT_IS_LEFT)
                    await asyncio.sleep(1)
                await self.pool.execute(PAUSE_ALL)
                while await self.pool.fetchval(IN_FLIGHT):  # noqa: ASYNC110 - what it waits for is in the database
                    await asyncio.sleep(1)
        long_ago = await self.pool.fetchval("select '-infinity'::timestamptz")
        self._blame(await violations(self.pool, ALWAYS, long_ago))
        self._blame(await violations(self.pool, AT_THE_END, moment))
        for daemon in self.daemons:
            self._blame({f"{bug} in {daemon.name}": daemon.facts[bug] for bug in BUGS if daemon.facts[bug]})
            if daemon.gone:
                self._blame({f"{daemon.name} ended by itself": 1})


async def run_soak(*, minutes: float, stacks: int, daemons: int, kill_every_s: float, say: Say) -> dict[str, Any]:
    """Soak on a throw-away minibase; what was seen, with `violations` by name (empty: all is well)."""
    with tempfile.TemporaryDirectory(prefix="stackbeat-soak-") as folder:
        workdir = make_workdir(Path(folder) / "project")
        (workdir / "supabase" / "seed.sql").write_text("")  # only the stacks of the soak
        try:
            async with (
                open_minibase(workdir, api_port="auto", db_port="auto", say=lambda _: None) as base,
                _at_work(base, daemons, workdir, say) as soak,
            ):
                return await _soak(soak, minutes, stacks, kill_every_s)
        finally:
            discard_data(workdir)


@asynccontextmanager
async def _at_work(base: Embedded, count: int, workdir: Path, say: Say) -> AsyncIterator[Soak]:
    assert base.target.db_url is not None
    assert base.target.db_admin_url is not None
    admin = await asyncpg.connect(base.target.db_admin_url)
    postmaster = await admin.fetchval("select pg_read_file('postmaster.pid', 0, 20, true)")
    await admin.close()
    daemons = [Daemon(name=f"daemon-{n + 1}", target=base.target, log=workdir / f"{n + 1}.log") for n in range(count)]
    async with asyncpg.create_pool(base.target.db_url, min_size=2, max_size=8) as pool:
        try:
            for daemon in daemons:
                await daemon.start()
            yield Soak(pool=pool, api_pid=base.pid, postgres_pid=int(postmaster.split()[0]), daemons=daemons, say=say)
        finally:
            for daemon in daemons:
                await daemon.end(signal.SIGTERM)
                if words := daemon.log.read_text(errors="replace").strip():
                    say(f"{daemon.name} said:\n{words[-4_000:]}")


async def _soak(soak: Soak, minutes: float, stacks: int, kill_every_s: float) -> dict[str, Any]:
    fleet = Fleet(soak.pool, stacks)
    await fleet.warm_up()
    soak.say(f"  0 min  {await soak.look()}")
    rows_before = await count_rows(soak.pool)
    async with asyncio.TaskGroup() as group:
        everything = (
            fleet.keep_playing(),
            _visitors(soak),
            _planners_of_more(soak),
            _hands(soak),
            soak.look_again_and_again(),
        )
        tasks = [group.create_task(each) for each in everything]
        group.create_task(soak.kill_in_turn(kill_every_s))
        await asyncio.sleep(minutes * 60)
        soak.over.set()
        for task in tasks:
            task.cancel()
    rows_after = await count_rows(soak.pool)
    soak.say(f"  end    {await soak.look()}")
    await soak.judge_the_end(await soak.pool.fetchval("select now()"))
    hours = minutes / 60
    return {
        "minutes": minutes,
        "stacks": stacks,
        "daemons": len(soak.daemons),
        "runs": await soak.pool.fetchval("select count(*) from agent_executions"),
        "runs_by_status": dict(
            await soak.pool.fetch("select status, count(*) from agent_executions group by 1 order by 2 desc")
        ),
        "kills": soak.kills,
        "refused_moves": soak.refused,
        "violations": dict(soak.broken),
        "memory": {kind: memory.as_values() for kind, memory in soak.memory.items()},
        "rows_per_hour": {name: round((rows_after[name] - rows_before[name]) / hours) for name in rows_after},
        "load_1m": round(os.getloadavg()[0], 1),
    }


async def _visitors(soak: Soak) -> None:
    """Lines for playing stacks; some ask for a change, which is the planner's to hear."""
    number = 0
    while True:
        number += 1
        text = f"Please add a help page ({number})" if number % 3 == 0 else f"How does it work? ({number})"
        await _act(soak, f"insert into user_messages (stack_id, content) select id, $1 from ({ONE_PLAYING}) s", text)
        await asyncio.sleep(random.expovariate(1 / MESSAGES_EVERY_S))


async def _planners_of_more(soak: Soak) -> None:
    """Todos from people."""
    number = 0
    while True:
        number += 1
        sql = f"insert into todos (stack_id, content, priority) select id, $1, $2 from ({ONE_PLAYING}) s"
        await _act(soak, sql, f"Extra part {number}", random.randint(1, 10))
        await asyncio.sleep(random.expovariate(1 / TODOS_EVERY_S))


async def _hands(soak: Soak) -> None:
    """Pause or stop a playing stack, and play it again after a while."""
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                stack = await soak.pool.fetchval(ONE_PLAYING)
                if stack is not None:
                    group.create_task(_hold(soak, stack, random.choice(("paused", "paused", "stopped"))))
                await asyncio.sleep(random.expovariate(1 / MOVES_EVERY_S))
        except asyncio.CancelledError:
            return  # the group waits for the stacks that are held: each is played again


async def _hold(soak: Soak, stack: Any, state: str) -> None:
    move = "update agent_stacks set execution_state = $2 where id = $1 and execution_state = any($3)"
    await _act(soak, move, stack, state, ["running"])
    await asyncio.sleep(random.uniform(*HOLD_S))
    await _act(soak, move, stack, "running", ["paused", "stopped"])


async def _act(soak: Soak, sql: str, *values: Any) -> None:
    """What a person does; a refusal (a stack that completed meanwhile, say) is told and no fault."""
    try:
        await soak.pool.execute(sql, *values)
    except asyncpg.PostgresError as error:
        soak.refused += 1
        soak.say(f"refused: {error}")
