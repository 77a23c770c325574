"""Four agents that only measure: each reads its stack and writes a trace, its memory, a todo and a message per run.

In order, each works only when the one before has written (it sees that in the snapshot, so every run needs a cycle of
its own); in parallel, all four share one stage. On a cadence, a stack's next round is due a cadence after the last one
was. They are handed to the daemon like any plug-in's agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel

from agents.agent import Agent
from agents.ask import Ask, with_context
from agents.changes import AddTodo, CancelTodo, Change, Remember, SendMessage
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Work

NAMES = ("bench_a", "bench_b", "bench_c", "bench_d")
TODOS = 10  # as many as a stack starts with; on a cadence their number stays near it


class Line(BaseModel):
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchAgent:
    """One of four; ``rounds`` runs each, then nothing to do."""

    index: int
    rounds: int
    parallel: bool
    every: timedelta | None = None
    needs_artifact: bool = False

    @property
    def name(self) -> str:
        return NAMES[self.index]

    @property
    def excludes(self) -> frozenset[str]:
        return frozenset() if self.parallel else frozenset(NAMES) - {self.name}

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        done = _rounds(snapshot, self.index)
        due = self._due(snapshot, done)
        if due > now:
            return Agenda(next_at=due)
        if self.parallel:
            ready = done < self.rounds
        elif self.index == 0:
            ready = done < self.rounds and _rounds(snapshot, len(NAMES) - 1) == done
        else:
            ready = _rounds(snapshot, self.index - 1) > done
        if not ready:
            return Agenda()
        work = Work(
            agent=self.name, priority=5, reason=f"round {done + 1}", key=f"round:{done + 1}", at=due, urgent=True
        )
        return Agenda(work=(work,))

    def _due(self, snapshot: Snapshot, done: int) -> datetime:
        """When the round after ``done`` begins: stacks start at different moments, as people's do."""
        if self.every is None:
            return snapshot.now
        start = (snapshot.stack.started_at or snapshot.stack.created_at) + self.every * _phase(snapshot)
        return start + self.every * done

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        context = {
            "stack": str(snapshot.stack.id),
            "agent": self.name,
            "round": work.key,
            "todos": [todo.content for todo in snapshot.todos[:10]],
            "messages": [message.content for message in snapshot.team_messages[:10]],
            "memory": snapshot.agent(self.name).memory,
        }
        return Ask(
            system="Say one line.",
            user=with_context("Go on.", context),
            output=Line,
            temperature=0.0,
            max_output_tokens=100,
            tier="small",
        )

    def interpret(self, reply: Line, snapshot: Snapshot, work: Work) -> Outcome:
        done = _rounds(snapshot, self.index) + 1
        return Outcome(
            thought=reply.line,
            action="bench",
            result={"round": done},
            changes=(
                Remember(set={"rounds": done}),
                self._todo(snapshot, f"{self.name} {done}: {reply.line}"),
                SendMessage(content=f"{self.name} {done}: {reply.line}"),
            ),
            context={"active_task": work.reason},
        )

    def _todo(self, snapshot: Snapshot, content: str) -> Change:
        """One row of todos written: a new one, or on a cadence, where there are enough, an old one put away."""
        if self.every is not None and len(snapshot.todos) > TODOS:
            return CancelTodo(id=snapshot.todos[0].id)
        return AddTodo(content=content, priority=3, assigned_to="builder")


def _phase(snapshot: Snapshot) -> float:
    """Where in the cadence a stack begins, from 0 to 1, by its id."""
    return snapshot.stack.id.int % 10_007 / 10_007


def _rounds(snapshot: Snapshot, index: int) -> int:
    value = snapshot.agent(NAMES[index]).memory.get("rounds", 0)
    return value if isinstance(value, int) else 0


def bench_agents(*, rounds: int, parallel: bool, every: timedelta | None = None) -> Mapping[str, Agent]:
    agents = [BenchAgent(index=index, rounds=rounds, parallel=parallel, every=every) for index in range(len(NAMES))]
    return {agent.name: agent for agent in agents}
