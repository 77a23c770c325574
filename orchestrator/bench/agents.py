"""Four agents that only measure: each reads its stack and writes a trace, its memory, a todo and a message per run.

In order, each works only when the one before has written (it sees that in the snapshot, so every run needs a cycle of
its own); in parallel, all four share one stage. They are handed to the daemon like any plug-in's agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from agents.agent import Agent
from agents.ask import Ask, with_context
from agents.changes import AddTodo, Remember, SendMessage
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Work

NAMES = ("bench_a", "bench_b", "bench_c", "bench_d")


class Line(BaseModel):
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchAgent:
    """One of four; ``rounds`` runs each, then nothing to do."""

    index: int
    rounds: int
    parallel: bool
    needs_artifact: bool = False

    @property
    def name(self) -> str:
        return NAMES[self.index]

    @property
    def excludes(self) -> frozenset[str]:
        return frozenset() if self.parallel else frozenset(NAMES) - {self.name}

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        done = _rounds(snapshot, self.index)
        if self.parallel:
            ready = done < self.rounds
        elif self.index == 0:
            ready = done < self.rounds and _rounds(snapshot, len(NAMES) - 1) == done
        else:
            ready = _rounds(snapshot, self.index - 1) > done
        if not ready:
            return Agenda()
        work = Work(
            agent=self.name, priority=5, reason=f"round {done + 1}", key=f"round:{done + 1}", at=now, urgent=True
        )
        return Agenda(work=(work,))

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
                AddTodo(content=f"{self.name} {done}: {reply.line}", priority=3, assigned_to="builder"),
                SendMessage(content=f"{self.name} {done}: {reply.line}"),
            ),
            context={"active_task": work.reason},
        )


def _rounds(snapshot: Snapshot, index: int) -> int:
    value = snapshot.agent(NAMES[index]).memory.get("rounds", 0)
    return value if isinstance(value, int) else 0


def bench_agents(*, rounds: int, parallel: bool) -> Mapping[str, Agent]:
    agents = [BenchAgent(index=index, rounds=rounds, parallel=parallel) for index in range(len(NAMES))]
    return {agent.name: agent for agent in agents}
