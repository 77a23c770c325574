"""What a reply changes: a closed union of values the database applies all or none (verb ``commit_runs``).

Bounds are those of the tables, so that a change which parses is a change the database takes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.snapshot import Phase

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Description = Annotated[str, StringConstraints(max_length=4000)]
TodoText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
MessageText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Priority = Annotated[int, Field(ge=1, le=10)]
Assignee = Literal["builder", "communicator"]


class _Change(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SetIdea(_Change):
    op: Literal["set_idea"] = "set_idea"
    title: Title
    description: Description


class SetPhase(_Change):
    """``complete`` also ends the run: the stack becomes idle."""

    op: Literal["set_phase"] = "set_phase"
    phase: Phase


class AddTodo(_Change):
    op: Literal["add_todo"] = "add_todo"
    content: TodoText
    priority: Priority = 5
    assigned_to: Assignee = "builder"


class UpdateTodo(_Change):
    """None leaves the field as it is."""

    op: Literal["update_todo"] = "update_todo"
    id: UUID
    content: TodoText | None = None
    priority: Priority | None = None


class CancelTodo(_Change):
    op: Literal["cancel_todo"] = "cancel_todo"
    id: UUID


class FinishTodo(_Change):
    """Only the run that owns the todo can finish it."""

    op: Literal["finish_todo"] = "finish_todo"
    id: UUID


class IssueNote(_Change):
    """What a version says about an issue of the review before it."""

    id: str
    fixed: bool
    note: Annotated[str, StringConstraints(max_length=300)] = ""


class PublishArtifact(_Change):
    """A new version of the page; the database numbers it.

    With ``base`` (0 for none) it lands only while that is the newest version; ``diff`` is kept beside the page.
    """

    op: Literal["publish_artifact"] = "publish_artifact"
    content: Annotated[str, StringConstraints(min_length=1, max_length=500_000)]
    description: Annotated[str, StringConstraints(max_length=2000)]
    todo_id: UUID | None = None
    base: int | None = None
    diff: Annotated[str, StringConstraints(max_length=60_000)] = ""
    answers: tuple[IssueNote, ...] = ()


class SendMessage(_Change):
    """To one stack, or to all of them when ``to_stack_id`` is None."""

    op: Literal["send_message"] = "send_message"
    to_stack_id: UUID | None = None
    content: MessageText
    hop: Annotated[int, Field(ge=0, le=10)] = 0


class AnswerVisitor(_Change):
    """Only the run that owns the question can answer it, once."""

    op: Literal["answer_visitor"] = "answer_visitor"
    message_id: UUID
    content: MessageText


class MarkRead(_Change):
    op: Literal["mark_read"] = "mark_read"
    message_ids: tuple[UUID, ...]


class Remember(_Change):
    """Own memory, key by key: what is not named stays. At most one of these in an outcome."""

    op: Literal["remember"] = "remember"
    set: dict[str, Any] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()


class Learn(_Change):
    """An item of long-term memory; what the agent knows already is not there twice. ``days`` None keeps it."""

    op: Literal["learn"] = "learn"
    content: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    kind: Literal["fact", "learning", "summary"] = "fact"
    importance: Priority = 5
    days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Forget(_Change):
    """Takes own items out of long-term memory; other agents' stay."""

    op: Literal["forget"] = "forget"
    ids: tuple[UUID, ...]


class Advise(_Change):
    """Items for another agent's inbox, by id: the same id again replaces, everything else stays."""

    op: Literal["advise"] = "advise"
    agent: str
    items: dict[str, Any]


class ClearInbox(_Change):
    """Takes the items that were seen out of the own inbox; what arrived meanwhile stays. At most one in an outcome."""

    op: Literal["clear_inbox"] = "clear_inbox"
    ids: tuple[str, ...]


Change = Annotated[
    SetIdea
    | SetPhase
    | AddTodo
    | UpdateTodo
    | CancelTodo
    | FinishTodo
    | PublishArtifact
    | SendMessage
    | AnswerVisitor
    | MarkRead
    | Remember
    | Learn
    | Forget
    | Advise
    | ClearInbox,
    Field(discriminator="op"),
]
