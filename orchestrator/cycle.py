"""One stack's pass: snapshot -> find work -> one stage -> its runs together -> settlement, under one lease."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import anyio
from pydantic import ValidationError

from agents.agent import Agent
from agents.ask import Ask
from agents.snapshot import Snapshot, Surroundings
from agents.work import Agenda, Work
from orchestrator.committer import Bundle, Committer, Verdicts
from orchestrator.cooldown import Cooldowns
from orchestrator.facts import (
    AgentBroke,
    Observer,
    RunBegun,
    RunCommitted,
    RunRefused,
    StackSettled,
    StackUnreadable,
)
from orchestrator.fleet import LiveCycle
from orchestrator.llm.chain import Chain
from orchestrator.llm.estimate import size_of
from orchestrator.llm.schema import SchemaError
from orchestrator.llm.values import Deferred, Offer
from orchestrator.run import Turn, perform
from orchestrator.saving import Measures, Savings, cheaper, explain, hold
from orchestrator.stage import Due, End, Rules, TurnEnd, plan_stage, settle
from orchestrator.store import StoreError
from orchestrator.told import told, was_answered
from orchestrator.tracing import agent_span
from orchestrator.verbs import (
    BeginVerdict,
    BegunRun,
    ClaimedStack,
    CommitVerdict,
    FinishedRun,
    PlannedRun,
    RunStatus,
    RunVerdict,
    Settlement,
)

# A run that ends while others of its stage are about to end waits this long for them, to share their call.
TOGETHER_S = 0.005
ITEM_BYTES = 200  # of memory, as a prompt shows it
UNREADABLE_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Everything a cycle works with; the same for all stacks."""

    agents: Mapping[str, Agent]
    chain: Chain
    committer: Committer
    cooldowns: Cooldowns
    savings: Savings
    stage_size: int
    observer: Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What one cycle did, for whoever ran it by hand."""

    stack_id: uuid.UUID
    runs: tuple[FinishedRun, ...]
    refusals: tuple[str, ...]
    due: Due


async def run_cycle(claimed: ClaimedStack, around: Surroundings, live: LiveCycle, crew: Crew) -> CycleReport:
    """Run one cycle of a leased stack, which sees ``around`` what all stacks of its claim do, and settle it."""
    try:
        snapshot = Snapshot.read(claimed.snapshot, around)
    except ValidationError as error:
        crew.observer(StackUnreadable(stack=str(claimed.stack_id), error=str(error)))
        due = Due(after=UNREADABLE_WAIT, reason="the daemon cannot read this stack; see its log")
        await _settle(claimed, live, (), due, crew, cadence=None)
        return CycleReport(stack_id=claimed.stack_id, runs=(), refusals=(), due=due)
    team = _team(crew.agents, snapshot)
    measures = {name: crew.savings.of(snapshot.stack.id, name) for name in team}
    agents = cheaper(team, measures)
    if agents is not crew.agents:
        crew = replace(crew, agents=agents)
    agendas = _without_repeats(_find_work(snapshot, crew), snapshot, crew)
    agendas, held = hold(agendas, measures, snapshot.now)
    now, cadence = snapshot.now, timedelta(milliseconds=snapshot.stack.cadence_ms)
    stage = plan_stage(
        agendas,
        {name: _rules(name, snapshot, crew, measures[name]) for name in _busy(agendas)},
        now=now,
        cadence=cadence,
        most=crew.stage_size,
    )
    resting = crew.chain.resting(work.agent for work in stage.runs) if stage.runs else None
    if not stage.runs or resting is not None:
        due = explain(settle(_waits(stage.runs, resting), next_at=stage.next_at, now=now), measures, held)
        await _settle(claimed, live, (), due, crew, cadence=cadence)
        return CycleReport(stack_id=claimed.stack_id, runs=(), refusals=(), due=due)
    return await _StageRun(claimed, live, snapshot, crew, stage.next_at).play(stage.runs)


def _team(agents: Mapping[str, Agent], snapshot: Snapshot) -> Mapping[str, Agent]:
    """Who plays for this stack."""
    if not snapshot.absent:
        return agents
    return {name: agent for name, agent in agents.items() if name not in snapshot.absent}


def _find_work(snapshot: Snapshot, crew: Crew) -> dict[str, Agenda]:
    agendas: dict[str, Agenda] = {}
    for name, agent in crew.agents.items():
        try:
            agendas[name] = agent.find_work(snapshot, snapshot.now)
        except Exception:  # one agent's bug must not stop the others
            crew.observer(
                AgentBroke(
                    stack=str(snapshot.stack.id), agent=name, where="find_work", error=traceback.format_exc()[-4_000:]
                )
            )
            # Nobody knows what it would do, so somebody looks again: no event need come.
            agendas[name] = Agenda(next_at=snapshot.now + UNREADABLE_WAIT)
    return agendas


def _without_repeats(agendas: Mapping[str, Agenda], snapshot: Snapshot, crew: Crew) -> dict[str, Agenda]:
    """The same agendas without what was asked before, the very same, to no effect."""
    kept = {
        name: tuple(work for work in agenda.work if not _is_repeat(work, snapshot, crew))
        for name, agenda in agendas.items()
    }
    return {
        name: agenda if kept[name] == agenda.work else replace(agenda, work=kept[name])
        for name, agenda in agendas.items()
    }


def _busy(agendas: Mapping[str, Agenda]) -> frozenset[str]:
    """Who has work, and in whose name."""
    return frozenset(name for owner, agenda in agendas.items() for work in agenda.work for name in (owner, work.agent))


def _is_repeat(work: Work, snapshot: Snapshot, crew: Crew) -> bool:
    try:
        return was_answered(crew.agents[work.agent], snapshot, work)
    except Exception:  # the run will show the agent's bug
        return False


def _rules(name: str, snapshot: Snapshot, crew: Crew, measures: Measures) -> Rules:
    return Rules(
        excludes=crew.agents[name].excludes,
        last_run_at=snapshot.agent(name).last_run_at,
        slower=measures.slower,
        not_before=crew.cooldowns.until(snapshot.stack.id, name),
    )


def _waits(runs: Sequence[Work], resting: Deferred | None) -> list[TurnEnd]:
    if resting is None:
        return []
    retry = timedelta(seconds=resting.retry_s)
    return [TurnEnd(agent=work.agent, end=End.WAITING, reason=resting.reason, retry=retry) for work in runs[:1]]


async def _settle(
    claimed: ClaimedStack,
    live: LiveCycle,
    runs: Sequence[FinishedRun],
    due: Due,
    crew: Crew,
    *,
    cadence: timedelta | None,
) -> Verdicts:
    """The last call of a cycle: its last runs and its settlement together."""
    due_in_ms = None if due.after is None else round(due.after.total_seconds() * 1_000)
    settlement = Settlement(
        stack_id=claimed.stack_id,
        fence=claimed.fence,
        wakes=claimed.wakes,
        due_in_ms=due_in_ms,
        wait_reason=due.reason,
    )
    verdicts = await crew.committer.commit(Bundle(runs=tuple(runs), settlement=settlement))
    took = None if verdicts.now is None else verdicts.now - live.claimed_at
    crew.observer(
        StackSettled(
            stack=str(claimed.stack_id),
            due_in_ms=due_in_ms,
            reason=due.reason,
            took_ms=None if took is None else took.total_seconds() * 1_000,
            missed=took // cadence if took and cadence else 0,
        )
    )
    return verdicts


@dataclass(slots=True, kw_only=True)
class _Ended:
    run: FinishedRun
    work: Work
    began: float
    ended: float = field(default_factory=anyio.current_time)


class _StageRun:
    """The runs of one stage: begun together, committed as they end, the last one together with the settlement."""

    def __init__(
        self, claimed: ClaimedStack, live: LiveCycle, snapshot: Snapshot, crew: Crew, next_at: datetime | None
    ) -> None:
        self._claimed = claimed
        self._live = live
        self._snapshot = snapshot
        self._crew = crew
        self._next_at = next_at
        self._open = 0
        self._ready: list[_Ended] = []
        self._ends: list[TurnEnd] = []
        self._finished: list[FinishedRun] = []
        self._refusals: list[str] = []

    async def play(self, works: Sequence[Work]) -> CycleReport:
        self._open = len(works)
        if len(works) == 1:  # the usual stage; a group of one would only cost
            await self._turn(works[0])
        else:
            async with anyio.create_task_group() as group:
                for work in works:
                    group.start_soon(self._turn, work)
        # Everything else has its verdict by now, so giving up the lease cannot make it stale.
        due = settle(self._ends, next_at=self._next_at, now=self._snapshot.now)
        last, self._ready = self._ready, []
        cadence = timedelta(milliseconds=self._snapshot.stack.cadence_ms)
        runs = [ended.run for ended in last]
        verdicts = await _settle(self._claimed, self._live, runs, due, self._crew, cadence=cadence)
        self._report(last, verdicts)
        return CycleReport(
            stack_id=self._claimed.stack_id, runs=tuple(self._finished), refusals=tuple(self._refusals), due=due
        )

    async def _turn(self, work: Work) -> None:
        ended = await self._begin_and_perform(work)
        self._open -= 1
        if ended is None:
            return
        self._ready.append(ended)
        self._finished.append(ended.run)
        self._ends.append(self._judge(ended.run, work))
        if self._open:
            await self._flush()

    async def _flush(self) -> None:
        """Commit what is ready without waiting for slower runs, unless those end within a breath."""
        await anyio.sleep(TOGETHER_S)
        if not (self._open and self._ready):
            return
        batch, self._ready = self._ready, []
        verdicts = await self._crew.committer.commit(Bundle(runs=tuple(ended.run for ended in batch)))
        self._report(batch, verdicts)

    async def _begin_and_perform(self, work: Work) -> _Ended | None:
        agent = self._crew.agents[work.agent]
        ask = self._ask_early(agent, work)
        planned = PlannedRun(
            run_id=uuid.uuid4(),
            stack_id=self._claimed.stack_id,
            fence=self._claimed.fence,
            work=work,
            needs_artifact=agent.needs_artifact,
            offers=() if ask is None else self._offers(agent, work, ask),
        )
        try:
            begun = await self._crew.committer.begin(planned)
        except StoreError as error:
            self._refused(work, "refused", str(error), End.FAILED, UNREADABLE_WAIT)
            return None
        if begun.verdict is not BeginVerdict.BEGUN:
            wait = None if begun.wait_ms is None else timedelta(milliseconds=begun.wait_ms)
            self._refused(work, begun.verdict, begun.reason or "", _REFUSALS[begun.verdict], wait)
            return None
        return await self._perform(planned, begun, agent, ask)

    def _ask_early(self, agent: Agent, work: Work) -> Ask | None:
        """What will be asked, as far as it is known before the artifact is: a reservation needs its size.

        A bug in the agent shows where the run is on record; nothing can be asked then, so nothing is reserved.
        """
        try:
            return agent.ask(self._snapshot, work)
        except Exception:
            return None

    def _offers(self, agent: Agent, work: Work, ask: Ask) -> tuple[Offer, ...]:
        """What the run would reserve; nothing where no provider could take the question, which its run will say."""
        try:
            size = size_of(ask)
        except SchemaError:
            return ()
        artifact = self._snapshot.artifact if agent.needs_artifact else None
        return self._crew.chain.offers(
            role=work.agent,
            tier=ask.tier,
            size=size + (0 if artifact is None else artifact.size_bytes) + _recalled_bytes(work),
            max_output_tokens=ask.max_output_tokens,
        )

    async def _perform(self, planned: PlannedRun, begun: BegunRun, agent: Agent, early: Ask | None) -> _Ended:
        began, work = anyio.current_time(), planned.work
        self._crew.observer(
            RunBegun(
                stack=str(planned.stack_id),
                agent=work.agent,
                run=str(planned.run_id),
                priority=work.priority,
                reason=work.reason,
                attempt=begun.attempt,
            )
        )
        snapshot = self._snapshot.with_artifact(begun.artifact) if agent.needs_artifact else self._snapshot
        snapshot = snapshot.with_memories(begun.recalled or ())
        turn = Turn(
            planned=planned,
            attempt=begun.attempt,
            agent=agent,
            snapshot=snapshot,
            live=self._live,
            ask=None if agent.needs_artifact or begun.recalled else early,
            told=None if early is None else partial(told, agent, self._snapshot, work, early),
            kept=begun.kept or (),
            provider=begun.provider,
            usd=begun.usd,
        )
        with agent_span(planned, begun.attempt) as ended:
            run = ended(await perform(turn, self._crew.chain, self._crew.observer))
        return _Ended(run=run, work=work, began=began)

    def _refused(self, work: Work, verdict: str, reason: str, end: End, retry: timedelta | None) -> None:
        self._ends.append(TurnEnd(agent=work.agent, end=end, reason=reason, retry=retry))
        self._refusals.append(f"{work.agent}: {reason or verdict}")
        self._crew.observer(
            RunRefused(stack=str(self._claimed.stack_id), agent=work.agent, verdict=verdict, reason=reason)
        )

    def _judge(self, run: FinishedRun, work: Work) -> TurnEnd:
        stack_id, retry = run.stack_id, timedelta(milliseconds=run.retry_ms or 0)
        match run.status:
            case RunStatus.COMPLETED:
                self._crew.cooldowns.succeeded(stack_id, run.agent)
                return TurnEnd(agent=run.agent, end=End.PROGRESS)
            case RunStatus.DEFERRED:
                return TurnEnd(agent=run.agent, end=End.WAITING, reason=run.error or "", retry=retry)
            case RunStatus.STOPPED:
                return TurnEnd(agent=run.agent, end=End.HELD)
            case RunStatus.FAILED:
                if work.item is None:
                    retry = self._crew.cooldowns.failed(stack_id, run.agent, self._snapshot.now)
                error = run.error or ""
                reason = "a bug in the agent" if error.startswith("Traceback") else error[:300]
                return TurnEnd(agent=run.agent, end=End.FAILED, reason=reason, retry=retry)

    def _report(self, batch: Sequence[_Ended], verdicts: Verdicts) -> None:
        now, by_id = anyio.current_time(), {verdict.run_id: verdict for verdict in verdicts.runs}
        for ended in batch:
            run, verdict = ended.run, by_id[ended.run.run_id]
            if (
                verdict.verdict is CommitVerdict.FAILED
                and run.status is RunStatus.COMPLETED
                and ended.work.item is None
            ):
                self._crew.cooldowns.failed(run.stack_id, run.agent, self._snapshot.now)
            self._crew.observer(
                RunCommitted(
                    stack=str(run.stack_id),
                    agent=run.agent,
                    run=str(run.run_id),
                    status=run.status,
                    verdict=verdict.verdict,
                    action=str((run.trace or {}).get("action", "")),
                    took_ms=(ended.ended - ended.began) * 1_000,
                    commit_ms=(now - ended.ended) * 1_000,
                    trigger_to_trace_ms=_trigger_to_trace(ended, verdict, verdicts.now),
                    tokens=sum(call.tokens_in + call.tokens_out for call in run.calls),
                    cost_usd=float(sum(call.cost_usd for call in run.calls)),
                    error=run.error or verdict.reason,
                )
            )


def _recalled_bytes(work: Work) -> int:
    """About how much longer the question gets by what its run recalls."""
    return 0 if work.recall is None else work.recall.most * ITEM_BYTES


def _trigger_to_trace(ended: _Ended, verdict: RunVerdict, landed_at: datetime | None) -> float | None:
    if landed_at is None or verdict.verdict is not CommitVerdict.DONE or ended.run.status is not RunStatus.COMPLETED:
        return None
    return max(0.0, (landed_at - ended.work.at).total_seconds() * 1_000)


_REFUSALS: Mapping[BeginVerdict, End] = {
    BeginVerdict.STALE: End.HELD,
    BeginVerdict.STOPPED: End.HELD,
    BeginVerdict.PAUSED: End.HELD,
    BeginVerdict.BUSY: End.CHANGED,
    BeginVerdict.TAKEN: End.CHANGED,
    BeginVerdict.WAITING: End.SHORT,
}
