"""What an agent sees of its stack: what ``claim_due_stacks`` returns, parsed once at the border.

A claim brings each stack's own part and, once, what all stacks see alike; ``Snapshot.read`` puts the two together.

Unknown keys are ignored, so that a newer database can serve an older daemon. Times are aware datetimes; a naive one is
refused, because a wait computed from it would be wrong by hours without anybody noticing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Phase = Literal["ideation", "building", "demo", "complete"]
TodoStatus = Literal["pending", "in_progress", "completed", "cancelled", "failed"]


NAMELESS = "Visitor"  # what the database calls whoever gives no name


class Fact(BaseModel):
    """A frozen piece of a snapshot."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Stack(Fact):
    id: UUID
    name: str
    phase: Phase = "ideation"
    execution_state: str = "running"
    team_type: str = "standard"
    priority: int = 5
    cadence_ms: int = 10_000
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    total_cycles: int = 0


class Idea(Fact):
    id: UUID
    title: str
    description: str = ""
    status: str = "ideation"
    created_by: str | None = None


class AgentState(Fact):
    memory: dict[str, Any] = Field(default_factory=dict)
    inbox: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    last_run_at: AwareDatetime | None = None


class Todo(Fact):
    id: UUID
    content: str
    status: TodoStatus = "pending"
    priority: int = 5
    assigned_to: str = "builder"
    assigned_by: str | None = None
    attempts: int = 0
    available_at: AwareDatetime | None = None
    last_error: str | None = None
    created_at: AwareDatetime


class TodoCounts(Fact):
    pending: int = 0
    in_progress: int = 0
    completed: int = 0
    cancelled: int = 0
    failed: int = 0

    @property
    def open(self) -> int:
        """Todos somebody will still work on; a failed one has used up its attempts."""
        return self.pending + self.in_progress


class DoneTodo(Fact):
    id: UUID
    content: str
    completed_at: AwareDatetime


class VisitorMessage(Fact):
    id: UUID
    sender_name: str = NAMELESS
    content: str
    created_at: AwareDatetime
    attempts: int = 0
    available_at: AwareDatetime | None = None


class Exchange(Fact):
    """One visitor's line and the answer it got."""

    sender_name: str
    content: str
    reply: str
    answered_at: AwareDatetime


class TeamMessage(Fact):
    id: UUID
    from_stack_id: UUID | None = None
    from_name: str | None = None
    content: str
    message_type: str = "direct"
    hop: int = 0
    created_at: AwareDatetime
    attempts: int = 0
    available_at: AwareDatetime | None = None


class Memory(Fact):
    """An item of the stack's long-term memory; ``run_id`` is the run it was learned in, None for a person's words."""

    id: UUID
    agent: str
    kind: Literal["fact", "learning", "summary"] = "fact"
    content: str
    importance: int = 5
    run_id: UUID | None = None
    created_at: AwareDatetime


class Neighbour(Fact):
    id: UUID
    name: str


class Artifact(Fact):
    id: UUID
    version: int
    type: str = "html"
    metadata: dict[str, Any] = Field(default_factory=dict)
    size_bytes: int = 0
    todo_id: UUID | None = None
    created_at: AwareDatetime
    content: str | None = None


NONE: frozenset[int] = frozenset()


def _moment(message: TeamMessage) -> datetime:
    return message.created_at


class Surroundings(Fact):
    """What the stacks of a claim see alike: the newest broadcasts, oldest first, and some of the other stacks."""

    broadcasts: tuple[TeamMessage, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    @cached_property
    def _places(self) -> Mapping[UUID | None, frozenset[int]]:
        """Where each sender's broadcasts stand: looked up for each stack of a claim, so made once."""
        found: dict[UUID | None, set[int]] = {}
        for place, message in enumerate(self.broadcasts):
            found.setdefault(message.from_stack_id, set()).add(place)
        return {sender: frozenset(places) for sender, places in found.items()}

    @cached_property
    def _ids(self) -> frozenset[UUID]:
        return frozenset(other.id for other in self.neighbours)

    def news_for(self, stack: Stack, heard: Collection[int], most: int) -> tuple[TeamMessage, ...]:
        """The oldest broadcasts, at most so many, of others since the stack was made, without those it has ``heard``.

        A broadcast is named by its place.
        """
        first = bisect_right(self.broadcasts, stack.created_at, key=_moment)
        left_out = self._places.get(stack.id, NONE).union(heard)
        some = enumerate(self.broadcasts[first : first + most + len(left_out)], start=first)
        return tuple(message for place, message in some if place not in left_out)[:most]

    def others_of(self, stack: Stack) -> tuple[Neighbour, ...]:
        """The neighbours without the stack itself."""
        if stack.id not in self._ids:
            return self.neighbours
        return tuple(other for other in self.neighbours if other.id != stack.id)


NOBODY = AgentState()
NOWHERE = Surroundings()
MOST_MESSAGES = 20
MOST_NEIGHBOURS = 20


class Snapshot(Fact):
    """One stack as of ``now``, the database's clock. Lists are bounded by the database."""

    now: AwareDatetime
    stack: Stack
    idea: Idea | None = None
    agents: dict[str, AgentState] = Field(default_factory=dict)
    todos: tuple[Todo, ...] = ()
    todo_counts: TodoCounts = TodoCounts()
    done: tuple[DoneTodo, ...] = ()
    visitor_messages: tuple[VisitorMessage, ...] = ()
    conversation: tuple[Exchange, ...] = ()
    team_messages: tuple[TeamMessage, ...] = ()
    heard: tuple[int, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    artifact: Artifact | None = None
    absent: frozenset[str] = frozenset()
    memory_counts: dict[str, int] = Field(default_factory=dict)
    memories: tuple[Memory, ...] = ()

    @classmethod
    def read(cls, own: Mapping[str, Any], around: Surroundings = NOWHERE) -> Snapshot:
        """A stack's own part with its share of the surroundings: broadcasts it has not heard, and the others.

        Raises ValidationError.
        """
        snapshot = cls.model_validate(own)
        others = around.others_of(snapshot.stack)[:MOST_NEIGHBOURS]
        news = around.news_for(snapshot.stack, snapshot.heard, MOST_MESSAGES)
        if snapshot.team_messages:
            messages = sorted((*snapshot.team_messages, *news), key=lambda message: (message.created_at, message.id))
            news = tuple(messages[:MOST_MESSAGES])
        return snapshot.model_copy(update={"team_messages": news, "neighbours": others})

    def agent(self, name: str) -> AgentState:
        """The named agent's memory, inbox and context; empty for one that has never run."""
        return self.agents.get(name, NOBODY)

    def todo(self, todo_id: UUID) -> Todo | None:
        """The open todo with this id, if the snapshot holds it."""
        return next((todo for todo in self.todos if todo.id == todo_id), None)

    def with_artifact(self, content: str | None) -> Snapshot:
        """The same snapshot with the newest artifact's source, which travels only to agents that need it."""
        if self.artifact is None:
            return self
        return self.model_copy(update={"artifact": self.artifact.model_copy(update={"content": content})})

    def with_memories(self, recalled: tuple[Memory, ...]) -> Snapshot:
        """The same snapshot with what the run's work recalls, best first."""
        return self.model_copy(update={"memories": recalled}) if recalled else self
