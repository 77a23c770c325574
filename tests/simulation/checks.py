"""What is held against the tables: at each verb, at moments in between, and when everything has come to rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulation.database import timestamp
from simulation.world import World

INVARIANTS = (Path(__file__).parent / "invariants.sql").read_text()
_FINAL = frozenset({"completed", "failed", "stopped", "stale", "deferred", "abandoned"})
_CLAIMABLE = """
select a.id::text
from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id, (select %s::timestamptz as now) t
where a.execution_state = 'running' and coalesce(s.lease_expires_at, '-infinity') <= t.now
  and (s.due_at <= t.now or exists (select from internal.late_wakes w where w.stack_id = a.id))
"""
LATE_S = 2.5


@dataclass(kw_only=True)
class Watch:
    """Looks over the shoulder of every verb."""

    world: World
    _fences: dict[str, int] = field(default_factory=dict)
    _ends: dict[str, str] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)
    _claimable: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)
    _stacks: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _running: set[str] = field(default_factory=set)
    _due_since: dict[str, float] = field(default_factory=dict)

    # Around one verb ---------------------------------------------------------------------------------------------

    def before(self, verb: str, body: dict[str, Any]) -> None:
        world = self.world
        if verb == "claim_due_stacks":
            self._claimable = claimable(world)
            self._own = self._running_of(body["worker"])
        elif verb == "heartbeat":
            self._own = self._running_of(body["worker"], [lease["stack_id"] for lease in body["leases"]])
        elif verb == "begin_runs":
            query = """select a.id::text, a.execution_state, s.lease_owner::text, s.fence
              from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
              where a.id = any (%s::uuid[])"""
            rows = world.database.ask(query, ([run["stack_id"] for run in body["runs"]],))
            self._stacks = {row[0]: row[1:] for row in rows}
        elif verb == "commit_runs":
            if "claim" in body:
                self._claimable = claimable(world)
                self._own = self._running_of(body["worker"], but=_touched_by(body))
            query = "select id::text from public.agent_executions where id = any (%s::uuid[]) and status = 'running'"
            self._running = {row[0] for row in world.database.ask(query, ([run["run_id"] for run in body["runs"]],))}

    def after(self, verb: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
        if verb == "claim_due_stacks":
            self._after_claim(answer, set())
            for run in sorted(self._own - self._running_of(body["worker"])):
                self.world.find(f"run {run} was taken over by the very worker that had it")
        elif verb == "heartbeat":
            for run in sorted(self._own - self._running_of(body["worker"])):
                self.world.find(f"run {run} was given up though its worker lives by its stack")
        elif verb == "begin_runs":
            self._after_begin(body, answer)
        elif verb == "commit_runs":
            self._after_commit(body, answer)
            if answer["claimed"]:
                self._after_claim(answer["claimed"], set(_touched_by(body)))
                for run in sorted(self._own - self._running_of(body["worker"])):
                    self.world.find(f"run {run} was taken over by the very worker that had it")

    def _running_of(self, worker: str, stacks: list[str] | None = None, but: Sequence[str] = ()) -> set[str]:
        query = """select id::text from public.agent_executions
          where worker_id = %s and status = 'running' and (%s::uuid[] is null or stack_id = any (%s::uuid[]))
            and stack_id <> all (%s::uuid[])"""
        return {row[0] for row in self.world.database.ask(query, (worker, stacks, stacks, list(but)))}

    def _after_claim(self, claim: dict[str, Any], touched: set[str]) -> None:
        """``touched`` are stacks that this very call may have made due."""
        for stack in claim["stacks"]:
            if stack["stack_id"] not in self._claimable | touched:
                self.world.find(f"stack {stack['stack_id']} was claimed while it was not due or somebody's")

    def _after_begin(self, body: dict[str, Any], answer: dict[str, Any]) -> None:
        verdicts = {run["run_id"]: run["verdict"] for run in answer["runs"]}
        for run in body["runs"]:
            if verdicts[run["run_id"]] != "begun" or run["run_id"] in self._begun:
                continue
            self._begun.add(run["run_id"])
            state, owner, fence = self._stacks[run["stack_id"]]
            if state != "running":
                self.world.find(f"run {run['run_id']} began while its stack was {state}")
            if owner != body["worker"] or fence != run["fence"]:
                self.world.find(f"run {run['run_id']} began without a lease: the stack's owner is {owner}")

    def _after_commit(self, body: dict[str, Any], answer: dict[str, Any]) -> None:
        verdicts = {run["run_id"]: run["verdict"] for run in answer["runs"]}
        for run in body["runs"]:
            self.world.reported.add(run["run_id"])
            self.world.delivered_calls.update(call["id"] for call in run["calls"])
            if run["run_id"] in self._running and verdicts[run["run_id"]] == "done":
                self.world.outcomes[run["run_id"]] = run

    # At any moment -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Hold the invariants against what is committed now."""
        world = self.world
        world.find_all(f"{what}: {row}" for what, row in world.database.ask(INVARIANTS))
        for stack, fence in world.database.ask("select stack_id::text, fence from public.stack_schedule"):
            if fence < self._fences.get(stack, 0):
                world.find(f"the fence of {stack} fell from {self._fences[stack]} to {fence}")
            self._fences[stack] = fence
        for run, status in world.database.ask("select id::text, status from public.agent_executions"):
            was = self._ends.get(run)
            if was is not None and was != status:
                world.find(f"run {run} had ended as {was} and is now {status}")
            if status in _FINAL:
                self._ends[run] = status

    def look_for_late(self) -> None:
        """In quiet times: whatever can be claimed is claimed soon."""
        now, waiting = self.world.now, claimable(self.world)
        self._due_since = {stack: self._due_since.get(stack, now) for stack in sorted(waiting)}
        for stack, since in self._due_since.items():
            if now - since > LATE_S:
                self.world.find(f"stack {stack} has been due and free for {now - since:.1f} s")
                self._due_since[stack] = float("inf")


def _touched_by(commit: dict[str, Any]) -> list[str]:
    """Stacks that this commit may write to: their runs or cycles end here, or they are written to, which wakes them."""
    changes = [change for run in commit["runs"] for change in run["changes"]]
    recipients = [change["to_stack_id"] for change in changes if change.get("to_stack_id")]
    return [part["stack_id"] for part in (*commit["runs"], *commit["settlements"])] + recipients


def claimable(world: World) -> set[str]:
    return {row[0] for row in world.database.ask(_CLAIMABLE, (timestamp(world.now),))}


# At rest -------------------------------------------------------------------------------------------------------------

_AT_REST = """
select 'nothing runs and yet this does', id::text from public.agent_executions where status = 'running'
union all
select 'lost work: a todo is ' || d.status, d.id::text
  from public.todos d join public.agent_stacks a on a.id = d.stack_id
  where a.execution_state = 'running' and d.status not in ('completed', 'cancelled', 'failed')
union all
select 'lost work: a visitor''s line is ' || u.status, u.id::text
  from public.user_messages u join public.agent_stacks a on a.id = u.stack_id
  where a.execution_state = 'running' and u.status not in ('answered', 'failed')
union all
select 'lost work: a direct message is ' || coalesce(r.status, 'unread'), m.id::text
  from public.messages m join public.agent_stacks a on a.id = m.to_stack_id
  left join public.message_reads r on r.message_id = m.id and r.stack_id = m.to_stack_id
  where a.execution_state = 'running' and coalesce(r.status, 'waiting') not in ('read', 'failed')
union all
select 'a note of a wake is left on a running stack', a.id::text
  from internal.late_wakes w join public.agent_stacks a on a.id = w.stack_id where a.execution_state = 'running'
union all
select 'a lease is left', stack_id::text from public.stack_schedule where lease_owner is not null
union all
select 'a deleted stack left its token bucket', key from internal.chat_buckets
  where key like 'stack:%' and substr(key, 7)::uuid not in (select id from public.agent_stacks)
"""


def check_at_rest(world: World) -> None:
    """The books kept outside, and what may not be left over when nothing runs any more."""
    database = world.database
    world.find_all(f"{what}: {row}" for what, row in database.ask(_AT_REST))
    world.find_all(_ledger_differs(world))
    world.find_all(_effects_differ(world))


def _ledger_differs(world: World) -> Iterator[str]:
    query = "select id::text, run_id::text, stack_id::text, model, provider from public.llm_calls order by id"
    every = world.database.ask(query)
    rows = [row for row in every if row[4] != "unknown"]  # the others stand for what a lost worker did not report
    ids = {row[0] for row in rows}
    for id_ in sorted(ids ^ world.delivered_calls):
        yield f"call {id_} is {'in the ledger and was never sent' if id_ in ids else 'not in the ledger, though sent'}"
    counted = Counter(row[3] for row in rows)
    for word, times in counted.items():
        if times > 1 or word not in world.model_calls:
            asked = int(word in world.model_calls)
            yield f"model call {word} is {times} times in the ledger, the model counted {asked}"
    for word, call in world.model_calls.items():
        if word not in counted and call.daemon not in world.lossy:
            yield f"model call {word} of daemon {call.daemon}, which did not die, is not in the ledger"
    for id_, run, stack, word, _ in rows:
        if word in world.model_calls and world.model_calls[word].stack != stack:
            yield f"ledger row {id_} of run {run} names stack {stack}, the model was asked for another"
    known, lost = {row[1] for row in rows}, {row[1] for row in every if row[4] == "unknown"}
    for run in sorted(known & lost):
        yield f"run {run} reported its calls and still stands in the ledger as lost"
    for (run,) in world.database.ask("select id::text from public.agent_executions where status = 'abandoned'"):
        if run not in known | lost | world.reported:
            yield f"run {run} was abandoned, perhaps after a paid call, and the ledger knows nothing of it"


def _effects_differ(world: World) -> Iterator[str]:
    """Each completed run has exactly the effects it sent, and no other run has any."""
    database = world.database
    runs = dict(database.ask("select id::text, status from public.agent_executions"))
    stacks = {row[0] for row in database.ask("select id::text from public.agent_stacks")}
    traces = Counter(row[0] for row in database.ask("select run_id::text from public.agent_traces"))
    pages = Counter(row[0] for row in database.ask("select run_id::text from public.artifacts"))
    sent = Counter(row[0] for row in database.ask("select run_id::text from public.messages where run_id is not null"))
    todos = Counter(row[0] for row in database.ask("select content from public.todos where assigned_by <> 'operator'"))
    expected: Counter[str] = Counter()
    for run, status in runs.items():
        outcome = world.outcomes.get(run)
        if status == "completed" and outcome is None:
            yield f"run {run} is completed and nobody sent that"
        if status != "completed" or outcome is None:
            continue
        ops = Counter(change["op"] for change in outcome["changes"])
        gone = sum(
            change["op"] == "send_message" and change.get("to_stack_id") is not None for change in outcome["changes"]
        )
        most = ops["send_message"] + ops["answer_visitor"]
        least = most - gone - ops["answer_visitor"]  # recipients may be deleted, lines may belong to nobody any more
        if traces[run] != 1 or pages[run] != ops["publish_artifact"] or not least <= sent[run] <= most:
            left = f"{traces[run]} traces, {pages[run]} artifacts, {sent[run]} messages"
            yield f"run {run} sent {dict(ops)} and left {left}"
        expected.update(change["content"] for change in outcome["changes"] if change["op"] == "add_todo")
    for content, times in todos.items():
        if times > 1 or (re.match(r"word\d+ ", content) and content not in expected):
            yield f"todo {content!r} is there {times} times, sent by completed runs {expected[content]} times"
    for run, outcome in world.outcomes.items():
        if outcome["stack_id"] in stacks and run in runs and runs[run] != outcome["status"]:
            yield f"run {run} was sent as {outcome['status']}, judged done, and is {runs[run]}"
        if outcome["stack_id"] in stacks and run not in runs:
            yield f"run {run} was judged done and is not on record"
    for content, times in expected.items():
        if todos[content] != times:
            yield f"todo {content!r} was sent {times} times and is there {todos[content]} times"
