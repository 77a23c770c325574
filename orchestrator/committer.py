"""Outcomes on their way to the database: bundled, retried with the same run ids, each kept until its verdict."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import anyio
import orjson

from orchestrator.batch import Batcher, Limits
from orchestrator.facts import BatchSent, Observer, OutcomeDropped
from orchestrator.llm.values import Limit
from orchestrator.plain_text import plain_text
from orchestrator.relay import Relay
from orchestrator.store import Store, StoreError
from orchestrator.verbs import (
    BeginVerdict,
    BegunRun,
    CommitVerdict,
    FinishedRun,
    PlannedRun,
    RunStatus,
    RunVerdict,
    Settlement,
)

COMMIT_LIMITS = Limits(items=50, size=900_000)
BEGIN_LIMITS = Limits(items=50, size=900_000)
BUSY_WAIT_S = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What must travel in one call: runs of one stack that ended, and the settlement if they end its cycle."""

    runs: tuple[FinishedRun, ...] = ()
    settlement: Settlement | None = None

    @property
    def empty(self) -> bool:
        return not self.runs and self.settlement is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """``now`` is the database's time when it last judged; None where it refused to judge at all."""

    now: datetime | None = None
    runs: tuple[RunVerdict, ...] = ()
    settled: CommitVerdict | None = None


class Committer:
    """``begin`` and ``commit`` wait for their verdicts; ``busy`` never leaves here, it is sent again."""

    def __init__(
        self,
        store: Store,
        *,
        cadence_ms: int,
        observer: Observer,
        relay: Relay,
        take_limits: Callable[[], Sequence[Limit]] = tuple,
    ) -> None:
        self._store = store
        self._cadence_ms = cadence_ms
        self._observer = observer
        self._relay = relay
        self._take_limits = take_limits
        self._begins: Batcher[PlannedRun, BegunRun] = Batcher(self._send_begins, BEGIN_LIMITS)
        self._commits: Batcher[Bundle, Verdicts] = Batcher(self._send_commits, COMMIT_LIMITS)

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._begins.run)
            group.start_soon(self._commits.run)

    def begins_wait_s(self) -> float:
        """How long the oldest begin has been waiting for its answer."""
        return self._begins.oldest_s()

    def commits_wait_s(self) -> float:
        """How long the oldest commit has been waiting for its answer."""
        return self._commits.oldest_s()

    async def begin(self, run: PlannedRun) -> BegunRun:
        """Ask for one run; raises StoreError only if the database calls the request itself wrong."""
        for attempt in range(len(BUSY_WAIT_S) * 4):
            begun = await self._begins.submit(run)
            if begun.verdict is not BeginVerdict.BUSY:
                return begun
            await anyio.sleep(_busy_wait(attempt))
        return begun

    async def commit(self, bundle: Bundle) -> Verdicts:
        """Keep a bundle until every part has a verdict other than busy."""
        if bundle.settlement is not None and _writes_to_others(bundle.runs):
            # A run may be busy because of its recipient's stack. Settling meanwhile would give up the fence it needs.
            runs = await self._commit(Bundle(runs=bundle.runs))
            rest = await self._commit(Bundle(settlement=bundle.settlement))
            return Verdicts(now=runs.now, runs=runs.runs, settled=rest.settled)
        return await self._commit(bundle)

    async def _commit(self, bundle: Bundle) -> Verdicts:
        judged: list[RunVerdict] = []
        settled: CommitVerdict | None = None
        attempt, now = 0, None
        while not bundle.empty:
            size = sum(len(orjson.dumps(run.wire)) for run in bundle.runs)
            verdicts = await self._commits.submit(bundle, count=max(1, len(bundle.runs)), size=size)
            judged += [verdict for verdict in verdicts.runs if verdict.verdict is not CommitVerdict.BUSY]
            settled, now = verdicts.settled, verdicts.now
            bundle = _still_busy(bundle, verdicts)
            if not bundle.empty:
                await anyio.sleep(_busy_wait(attempt))
                attempt += 1
        return Verdicts(now=now, runs=tuple(judged), settled=settled)

    async def _send_begins(self, runs: Sequence[PlannedRun]) -> Sequence[BegunRun]:
        started = anyio.current_time()
        try:
            begun = await self._store.begin(runs)
        except StoreError:
            if len(runs) == 1:
                raise
            return [(await self._send_begins([run]))[0] for run in runs]
        self._report("begin_runs", len(runs), started)
        by_id = {answer.run_id: answer for answer in begun.runs}
        return [by_id[run.run_id] for run in runs]

    async def _send_commits(self, bundles: Sequence[Bundle]) -> Sequence[Verdicts]:
        started = anyio.current_time()
        runs = [run for bundle in bundles for run in bundle.runs]
        settlements = [bundle.settlement for bundle in bundles if bundle.settlement is not None]
        try:
            with self._relay.leg(settlements) as leg:
                answer = await self._store.commit(
                    runs, settlements, cadence_ms=self._cadence_ms, limits=self._take_limits(), claim=leg.terms
                )
                self._relay.take(leg, answer)
        except StoreError as error:
            return await self._apart(bundles, error)
        self._report("commit_runs", len(runs), started)
        by_run = {verdict.run_id: verdict for verdict in answer.runs}
        by_stack = {verdict.stack_id: verdict.verdict for verdict in answer.settled}
        return [
            Verdicts(
                now=answer.now,
                runs=tuple(by_run[run.run_id] for run in bundle.runs),
                settled=None if bundle.settlement is None else by_stack[bundle.settlement.stack_id],
            )
            for bundle in bundles
        ]

    async def _apart(self, bundles: Sequence[Bundle], error: StoreError) -> Sequence[Verdicts]:
        """The database calls this request wrong: find the part that is, so that only that one pays."""
        if len(bundles) > 1:
            return [(await self._send_commits([bundle]))[0] for bundle in bundles]
        (bundle,) = bundles
        stripped = replace(bundle, runs=tuple(_stripped(run, error) for run in bundle.runs))
        if stripped != bundle:
            (verdicts,) = await self._send_commits([stripped])
            return [replace(verdicts, runs=tuple(_judged_bare(verdict, error) for verdict in verdicts.runs))]
        for run in bundle.runs:
            self._observer(OutcomeDropped(stack=str(run.stack_id), run=str(run.run_id), error=str(error)))
        failed = CommitVerdict.FAILED
        return [
            Verdicts(
                runs=tuple(RunVerdict(run_id=run.run_id, verdict=failed, reason=str(error)) for run in bundle.runs),
                settled=None if bundle.settlement is None else CommitVerdict.STALE,
            )
        ]

    def _report(self, verb: str, items: int, started: float) -> None:
        self._observer(BatchSent(verb=verb, items=items, took_ms=(anyio.current_time() - started) * 1_000))


def _stripped(run: FinishedRun, error: StoreError) -> FinishedRun:
    """The barest record of a run whose outcome the database cannot take: failed, why, and what was spent."""
    return replace(
        run,
        status=RunStatus.FAILED,
        error=f"the outcome could not be stored: {error}"[:2_000],
        calls=tuple(replace(call, reply=None, error=plain_text(call.error or "")[:500] or None) for call in run.calls),
        changes=(),
        trace=None,
        context=None,
        retry_ms=run.retry_ms or 5_000,
    )


def _judged_bare(verdict: RunVerdict, error: StoreError) -> RunVerdict:
    """The bare record landed, the outcome did not: whoever waits for it must not take that for progress."""
    if verdict.verdict is not CommitVerdict.DONE:
        return verdict
    return RunVerdict(run_id=verdict.run_id, verdict=CommitVerdict.FAILED, reason=str(error))


def _writes_to_others(runs: Sequence[FinishedRun]) -> bool:
    return any(
        change.get("op") == "send_message" and change.get("to_stack_id") for run in runs for change in run.changes
    )


def _still_busy(bundle: Bundle, verdicts: Verdicts) -> Bundle:
    busy = {verdict.run_id for verdict in verdicts.runs if verdict.verdict is CommitVerdict.BUSY}
    settlement = bundle.settlement if busy or verdicts.settled is CommitVerdict.BUSY else None
    return Bundle(runs=tuple(run for run in bundle.runs if run.run_id in busy), settlement=settlement)


def _busy_wait(attempt: int) -> float:
    return BUSY_WAIT_S[min(attempt, len(BUSY_WAIT_S) - 1)] * random.uniform(0.5, 1.5)
