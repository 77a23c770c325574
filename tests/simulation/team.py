"""Four small agents that work on every kind of item and write every kind of change, registered like any plug-in's.

Everything they write carries the word of the model's reply, which no two calls share: so a row says which call it is
owed to. Each counts its own turns in its memory from what it saw, so two cycles at once on one stack would lose one.
Now and then, as the odds say, one has a bug, rejects its reply, or wants a change that the database refuses.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from simulation.chance import Odds

from agents.agent import Agent
from agents.ask import Ask
from agents.changes import (
    AddTodo,
    Advise,
    AnswerVisitor,
    CancelTodo,
    Change,
    ClearInbox,
    FinishTodo,
    MarkRead,
    PublishArtifact,
    Remember,
    SendMessage,
    SetIdea,
    SetPhase,
    UpdateTodo,
)
from agents.outcome import Outcome, ReplyRejected
from agents.snapshot import Snapshot
from agents.work import Agenda, Item, Work, agenda

ENOUGH = 4  # open todos; a planner adds none beyond them


class Word(BaseModel):
    word: str


class AgentBugError(Exception):
    """A bug of an agent, put there by the odds."""


@dataclass(frozen=True, kw_only=True)
class Member(ABC):
    """What the four have in common; a role says what its work is and what it writes."""

    name: str
    odds: Odds
    excludes: frozenset[str] = frozenset()
    needs_artifact: bool = False

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        if random.Random(f"{snapshot.stack.id} {now} {self.name}").random() < self.odds.bug / 4:
            raise AgentBugError("find_work")
        return self.agenda(snapshot, now)

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        if random.Random(f"{snapshot.stack.id} {snapshot.now} {work.key}").random() < self.odds.bug / 2:
            raise AgentBugError("ask")
        user = f"stack {snapshot.stack.id}: {work.key}, turn {self.turns(snapshot)}"
        return Ask(system="s", user=user, output=Word, temperature=0, max_output_tokens=9, tier="small")

    def interpret(self, reply: Word, snapshot: Snapshot, work: Work) -> Outcome:
        chance = random.Random(reply.word)
        if chance.random() < self.odds.bug / 2:
            raise AgentBugError("interpret")
        if chance.random() < self.odds.rejection:
            raise ReplyRejected(f"{reply.word} will not do")
        changes = self.changes(reply.word, snapshot, work, chance)
        result: dict[str, Any] = {"word": reply.word}
        if chance.random() < self.odds.refused_change:
            fault = chance.randrange(4)
            if fault == 0:
                changes.append(AddTodo.model_construct(op="add_todo", content=" ", priority=5, assigned_to="builder"))
            elif fault == 1:
                changes.append(SendMessage.model_construct(op="send_message", content="too far", hop=99))
            elif fault == 2:
                result["nul"] = "\x00"
            else:
                result["object"] = object()
        changes.append(Remember(set={"turns": self.turns(snapshot) + 1}))
        return Outcome(
            thought=reply.word, action="turn", result=result, changes=tuple(changes), context={"w": reply.word}
        )

    def turns(self, snapshot: Snapshot) -> int:
        return int(snapshot.agent(self.name).memory.get("turns", 0))

    def work(
        self, reason: str, at: datetime, *, item: Item | None = None, urgent: bool = False, priority: int = 5
    ) -> Work:
        key = reason if item is None else f"{reason} {item.ids[0]}"
        return Work(agent=self.name, priority=priority, reason=reason, key=key, at=at, item=item, urgent=urgent)

    def todos(self, snapshot: Snapshot, now: datetime) -> tuple[list[Work], list[datetime]]:
        mine = [todo for todo in snapshot.todos if todo.status == "pending" and todo.assigned_to == self.name]
        ready = [
            self.work("to do", todo.created_at, item=Item(kind="todo", ids=(todo.id,)), urgent=todo.priority > 5)
            for todo in mine
            if todo.available_at is None or todo.available_at <= now
        ]
        return ready, [todo.available_at for todo in mine if todo.available_at is not None]

    @abstractmethod
    def agenda(self, snapshot: Snapshot, now: datetime) -> Agenda:
        """What this member would do."""

    @abstractmethod
    def changes(self, word: str, snapshot: Snapshot, work: Work, chance: random.Random) -> list[Change]:
        """What its turn changes."""


class Planner(Member):
    def agenda(self, snapshot: Snapshot, now: datetime) -> Agenda:
        if not self.odds.planning or snapshot.todo_counts.open >= ENOUGH:
            return Agenda()
        return agenda([self.work("to plan", now, urgent=snapshot.idea is None, priority=4)], [], now)

    def changes(self, word: str, snapshot: Snapshot, work: Work, chance: random.Random) -> list[Change]:
        changes: list[Change] = [
            AddTodo(
                content=f"{word} {n}",
                priority=chance.randint(1, 10),
                assigned_to=chance.choice(("builder", "communicator")),
            )
            for n in range(chance.randint(1, 2))
        ]
        if snapshot.idea is None or chance.random() < 0.2:
            changes.append(SetIdea(title=word, description=""))
        if snapshot.todos and chance.random() < 0.2:
            todo = chance.choice(snapshot.todos)
            changes.append(CancelTodo(id=todo.id) if chance.random() < 0.5 else UpdateTodo(id=todo.id, priority=9))
        if snapshot.neighbours and chance.random() < 0.4:
            to = chance.choice(snapshot.neighbours).id
            changes.append(SendMessage(to_stack_id=to, content=f"{word} to one"))
        elif chance.random() < 0.1:
            changes.append(SendMessage(content=f"{word} to all"))
        if inbox := tuple(snapshot.agent(self.name).inbox):
            changes.append(ClearInbox(ids=inbox))
        if self.turns(snapshot) > 2 and chance.random() < 0.15:
            changes.append(SetPhase(phase="complete"))
        elif chance.random() < 0.3:
            changes.append(SetPhase(phase=chance.choice(("building", "demo"))))
        return changes


class Builder(Member):
    def agenda(self, snapshot: Snapshot, now: datetime) -> Agenda:
        return agenda(*self.todos(snapshot, now), now)

    def changes(self, word: str, snapshot: Snapshot, work: Work, chance: random.Random) -> list[Change]:
        assert work.item is not None
        before = "" if snapshot.artifact is None else str(snapshot.artifact.content).split()[0]
        page = PublishArtifact(content=f"{word} after {before}", description=word, todo_id=work.item.ids[0])
        if chance.random() < self.odds.forgetful:
            return [page]
        return [FinishTodo(id=work.item.ids[0]), page]


class Communicator(Member):
    def agenda(self, snapshot: Snapshot, now: datetime) -> Agenda:
        ready, waits = self.todos(snapshot, now)
        for kind, lines, priority in (
            ("visitor", snapshot.visitor_messages, 9),
            ("message", snapshot.team_messages, 7),
        ):
            free = [line for line in lines if line.available_at is None or line.available_at <= now][:3]
            waits += [line.available_at for line in lines if line.available_at is not None]
            if free:
                item = Item(kind=kind, ids=tuple(line.id for line in free))  # type: ignore[arg-type]
                ready.append(self.work(f"a {kind}", free[0].created_at, item=item, urgent=True, priority=priority))
        return agenda(ready, waits, now)

    def changes(self, word: str, snapshot: Snapshot, work: Work, chance: random.Random) -> list[Change]:
        assert work.item is not None
        kind, ids = work.item.kind, work.item.ids
        if chance.random() < self.odds.forgetful:
            ids = ids[1:]
        if kind == "visitor":
            return [AnswerVisitor(message_id=id_, content=f"{word} answers {id_}") for id_ in ids]
        if kind == "todo":
            told: list[Change] = [SendMessage(content=f"{word} announces")] if chance.random() < 0.3 else []
            return [*told, *(FinishTodo(id=id_) for id_ in ids)]
        answers: list[Change] = [
            SendMessage(to_stack_id=line.from_stack_id, content=f"{word} replies {line.id}", hop=line.hop + 1)
            for line in snapshot.team_messages
            if line.id in ids and line.from_stack_id and line.message_type == "direct" and line.hop < 2
        ]
        return [*answers, MarkRead(message_ids=ids)]


class Reviewer(Member):
    def agenda(self, snapshot: Snapshot, now: datetime) -> Agenda:
        seen = int(snapshot.agent(self.name).memory.get("seen", 0))
        if snapshot.artifact is None or snapshot.artifact.version <= seen or not self.odds.planning:
            return Agenda()
        return agenda([self.work("to review", snapshot.artifact.created_at, priority=6)], [], now)

    def changes(self, word: str, snapshot: Snapshot, work: Work, chance: random.Random) -> list[Change]:
        assert snapshot.artifact is not None
        return [
            Remember(set={"seen": snapshot.artifact.version}, drop=("nothing",)),
            Advise(agent="planner", items={word: {"version": snapshot.artifact.version}}),
        ]


def team(odds: Odds) -> Mapping[str, Agent]:
    members = (
        Planner(name="planner", odds=odds, excludes=frozenset({"builder"})),
        Builder(name="builder", odds=odds, excludes=frozenset({"reviewer"}), needs_artifact=True),
        Communicator(name="communicator", odds=odds),
        Reviewer(name="reviewer", odds=odds),
    )
    return {member.name: member for member in members}
