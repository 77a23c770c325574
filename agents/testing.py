"""For tests of agents: a stack in memory that plays the database's part, with a clock that only moves when told.

``FakeStack`` gives snapshots and applies changes as ``commit_runs`` would, but for leases and fences, which are not the
agents' business. ``play`` runs agents against it with any model, by default the simulated one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

from agents import changes as c
from agents.agent import Agent
from agents.ask import Ask
from agents.outcome import Outcome, ReplyRejected
from agents.simulated import simulate
from agents.snapshot import Memory, Snapshot
from agents.work import Work

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAX_ATTEMPTS = 3
MOST_MEMORIES = 40
OPEN = ("pending", "in_progress", "failed")
ENDED = ("completed", "cancelled")
_WORD = re.compile(r"[a-z]{3,}")
_BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)

Model = Callable[[str, Ask], dict[str, Any]]


@dataclass(kw_only=True)
class FakeStack:
    """One stack's rows. Change them directly to set a scene; ``snapshot`` is what agents see of them."""

    name: str = "Night Owls"
    phase: str = "ideation"
    now: datetime = START
    idea: dict[str, Any] | None = None
    todos: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    visitors: list[dict[str, Any]] = field(default_factory=list)
    mail: list[dict[str, Any]] = field(default_factory=list)
    sent: list[c.SendMessage] = field(default_factory=list)
    answers: list[c.AnswerVisitor] = field(default_factory=list)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    memories: list[dict[str, Any]] = field(default_factory=list)
    traces: list[tuple[str, Outcome]] = field(default_factory=list)
    absent: frozenset[str] = frozenset()
    _ids: int = 0

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)

    def pass_time(self, **amount: float) -> None:
        self.now += timedelta(**amount)

    def set_idea(self, title: str, description: str = "", created_by: str = "operator") -> None:
        self.idea = {"id": self.new_id(), "title": title, "description": description, "created_by": created_by}

    def add_todo(self, content: str, **values: Any) -> UUID:
        todo = {"id": self.new_id(), "content": content, "status": "pending", "priority": 5, "assigned_by": "planner"}
        self.todos.append(todo | {"assigned_to": "builder", "attempts": 0, "created_at": self._tick()} | values)
        return UUID(str(todo["id"]))

    def publish(self, content: str, todo_id: UUID | None = None, description: str = "", **metadata: Any) -> None:
        version = len(self.artifacts) + 1
        row = {"id": self.new_id(), "version": version, "content": content, "todo_id": todo_id}
        about = {"description": description, **metadata}
        self.artifacts.append(row | {"created_at": self._tick(), "metadata": about})

    def say(self, content: str, sender: str = "Ada") -> UUID:
        line = {"id": self.new_id(), "sender_name": sender, "content": content, "created_at": self._tick()}
        self.visitors.append(line | {"status": "waiting", "attempts": 0})
        return UUID(str(line["id"]))

    def receive(self, content: str, *, sender: UUID, hop: int = 0, kind: str = "direct") -> UUID:
        line = {"id": self.new_id(), "from_stack_id": sender, "from_name": f"Stack {sender.int}", "content": content}
        self.mail.append(line | {"hop": hop, "message_type": kind, "created_at": self._tick(), "unread": True})
        return UUID(str(line["id"]))

    def learn(self, content: str, *, agent: str = "planner", kind: str = "fact", importance: int = 5) -> None:
        """An item of memory, once; of more than the database keeps, the least important and oldest give way."""
        own = [row for row in self.memories if row["agent"] == agent]
        if content.lower() in {row["content"].lower() for row in own}:
            return
        item = {"id": self.new_id(), "agent": agent, "kind": kind, "content": content, "importance": importance}
        self.memories.append(item | {"created_at": self._tick()})
        if len(own) >= MOST_MEMORIES:
            self.memories.remove(min([*own, self.memories[-1]], key=lambda row: (row["importance"], row["created_at"])))

    def recall(self, work: Work) -> tuple[Memory, ...]:
        """What the work wants of memory: items with its words first, then by importance."""
        wanted = work.recall
        if wanted is None:
            return ()
        words = set(_WORD.findall(wanted.text.lower()))
        found = [row for row in self.memories if not wanted.own or row["agent"] == work.agent]
        hits = {row["id"]: len(words & set(_WORD.findall(row["content"].lower()))) for row in found}
        found.sort(key=lambda row: (-bool(hits[row["id"]]) * 10 - hits[row["id"]] - row["importance"], str(row["id"])))
        return tuple(Memory.model_validate(row) for row in found[: wanted.most])

    def snapshot(self) -> Snapshot:
        done = [todo for todo in self.todos if todo["status"] == "completed"]
        counts = {word: sum(todo["status"] == word for todo in self.todos) for word in (*OPEN, *ENDED)}
        answered = [line for line in self.visitors if line["status"] == "answered"]
        return Snapshot.model_validate(
            {
                "now": self.now,
                "stack": {"id": UUID(int=10**6), "name": self.name, "phase": self.phase, "created_at": START},
                "idea": self.idea,
                "agents": self.agents,
                "todos": sorted((t for t in self.todos if t["status"] in OPEN), key=lambda t: -t["priority"]),
                "todo_counts": counts,
                "done": sorted(done, key=lambda todo: todo["completed_at"], reverse=True)[:10],
                "visitor_messages": [line for line in self.visitors if line["status"] == "waiting"][:20],
                "conversation": answered[-10:],
                "team_messages": [line for line in self.mail if line["unread"]][:20],
                "artifact": {**self.artifacts[-1], "content": None} if self.artifacts else None,
                "absent": self.absent,
                "memory_counts": Counter(row["agent"] for row in self.memories),
            }
        )

    def begin(self, work: Work) -> None:
        """The run owns its item and its agent has run now."""
        self._agent(work.agent)["last_run_at"] = self.now
        for row in self._items(work):
            row["attempts"] = row.get("attempts", 0) + 1

    def fail(self, work: Work, reason: str, retry: timedelta = timedelta(seconds=5)) -> None:
        """The item waits and comes back, or ends as failed after its third attempt."""
        for row in self._items(work):
            row["last_error"], row["available_at"] = reason, self.now + retry
            if row["attempts"] >= MAX_ATTEMPTS and "status" in row:
                row["status"] = "failed"

    def commit(self, work: Work, outcome: Outcome) -> None:
        """All changes of one outcome; raises KeyError for a row that is not there."""
        for change in outcome.changes:
            self._apply(work.agent, change)
        if outcome.context is not None:
            self._agent(work.agent)["context"] = outcome.context
        self.traces.append((work.agent, outcome))

    def _apply(self, agent: str, change: c.Change) -> None:  # noqa: PLR0912 - one clause per change
        match change:
            case c.SetIdea():
                self.idea = (self.idea or {"id": self.new_id(), "created_by": agent}) | {
                    "title": change.title,
                    "description": change.description,
                }
            case c.SetPhase():
                self.phase = change.phase
            case c.AddTodo():
                self.add_todo(
                    change.content, priority=change.priority, assigned_to=change.assigned_to, assigned_by=agent
                )
            case c.UpdateTodo():
                values = {"content": change.content, "priority": change.priority}
                self._row(self.todos, change.id).update({key: v for key, v in values.items() if v is not None})
            case c.CancelTodo():
                self._row(self.todos, change.id)["status"] = "cancelled"
            case c.FinishTodo():
                self._row(self.todos, change.id).update(status="completed", completed_at=self._tick())
            case c.PublishArtifact():
                if change.base is not None and change.base != len(self.artifacts):
                    raise ValueError(f"version {len(self.artifacts)} is the newest, not {change.base}")
                answers = [note.model_dump() for note in change.answers]
                self.publish(change.content, change.todo_id, change.description, answers=answers)
            case c.SendMessage():
                self.sent.append(change)
            case c.AnswerVisitor():
                self.answers.append(change)
                self._row(self.visitors, change.message_id).update(
                    status="answered", reply=change.content, answered_at=self._tick()
                )
            case c.MarkRead():
                for message_id in change.message_ids:
                    self._row(self.mail, message_id)["unread"] = False
            case c.Remember():
                memory = self._agent(agent)["memory"]
                for key in change.drop:
                    memory.pop(key, None)
                memory.update(json.loads(json.dumps(change.set)))
            case c.Learn():
                self.learn(change.content, agent=agent, kind=change.kind, importance=change.importance)
            case c.Forget():
                gone = {one for one in change.ids if self._row(self.memories, one)["agent"] == agent}
                self.memories = [row for row in self.memories if row["id"] not in gone]
            case c.Advise():
                self._agent(change.agent)["inbox"].update(json.loads(json.dumps(change.items)))
            case c.ClearInbox():
                for item in change.ids:
                    self._agent(agent)["inbox"].pop(item, None)
            case _:
                assert_never(change)

    def _agent(self, name: str) -> dict[str, Any]:
        return self.agents.setdefault(name, {"memory": {}, "inbox": {}, "context": {}, "last_run_at": None})

    def _items(self, work: Work) -> Iterable[dict[str, Any]]:
        ids = work.item.ids if work.item else ()
        return [row for row in (*self.todos, *self.visitors, *self.mail) if row["id"] in ids]

    @staticmethod
    def _row(rows: list[dict[str, Any]], row_id: UUID) -> dict[str, Any]:
        for row in rows:
            if row["id"] == row_id:
                return row
        raise KeyError(row_id)

    def _tick(self) -> datetime:
        """A time of its own for every row, so that order is never a matter of luck."""
        self.now += timedelta(microseconds=1)
        return self.now


def simulated_model(role: str, ask: Ask) -> dict[str, Any]:
    """The simulated model without the wire: it reads the json block of the question and nothing else."""
    return simulate(role, json.loads(_BLOCK.findall(ask.user)[-1]), seed="test")


def scripted_model(*replies: dict[str, Any]) -> Model:
    """A model that gives these replies in order, whoever asks; IndexError when it is asked once more."""
    left = list(replies)
    return lambda role, ask: left.pop(0)


def run_once(stack: FakeStack, agent: Agent, work: Work, model: Model = simulated_model) -> Outcome | ReplyRejected:
    """One run from begin to commit; a rejected reply is the run's failure and is returned."""
    stack.begin(work)
    snapshot = stack.snapshot()
    if agent.needs_artifact and stack.artifacts:
        snapshot = snapshot.with_artifact(stack.artifacts[-1]["content"])
    snapshot = snapshot.with_memories(stack.recall(work))
    ask = agent.ask(snapshot, work)
    reply = ask.output.model_validate(model(agent.name, ask))
    try:
        outcome = agent.interpret(reply, snapshot, work)
    except ReplyRejected as rejected:
        stack.fail(work, rejected.reason)
        return rejected
    stack.commit(work, outcome)
    return outcome


def stage(stack: FakeStack, agents: Sequence[Agent]) -> list[tuple[Agent, Work]]:
    """The agents that may run together now, the most important first."""
    snapshot = stack.snapshot()
    team = [agent for agent in agents if agent.name not in stack.absent]
    found = [(agent, work) for agent in team for work in agent.find_work(snapshot, stack.now).work[:1]]
    chosen: list[tuple[Agent, Work]] = []
    for agent, work in sorted(found, key=lambda pair: -pair[1].priority):
        if all(agent.name not in other.excludes and other.name not in agent.excludes for other, _ in chosen):
            chosen.append((agent, work))
    return chosen


def play(stack: FakeStack, agents: Sequence[Agent], model: Model = simulated_model, *, max_stages: int = 100) -> int:
    """Stage after stage until nobody has work now, ten seconds apart; returns the number of runs."""
    runs = 0
    for _ in range(max_stages):
        chosen = stage(stack, agents)
        if not chosen:
            return runs
        for agent, work in chosen:
            run_once(stack, agent, work, model)
            runs += 1
        stack.pass_time(seconds=10)
    raise AssertionError(f"still work after {max_stages} stages: {[work.reason for _, work in stage(stack, agents)]}")
