"""What the planner may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from agents.memory.learned import Lessons

Thinking = Annotated[str, StringConstraints(max_length=2000)]
Content = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Priority = Annotated[int, Field(ge=1, le=10)]


class IdeaDraft(BaseModel):
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
    description: Annotated[str, StringConstraints(max_length=1500)]


class NewTodo(BaseModel):
    content: Content
    priority: Priority
    assigned_to: Literal["builder", "communicator"]


class TodoEdit(BaseModel):
    id: str
    content: Content | None
    priority: Priority | None


class PlannerReply(BaseModel):
    thinking: Thinking
    idea: IdeaDraft | None
    phase: Literal["ideation", "building", "demo"] | None
    add: Annotated[list[NewTodo], Field(max_length=12)]
    update: Annotated[list[TodoEdit], Field(max_length=20)]
    cancel: Annotated[list[str], Field(max_length=20)]
    learned: Lessons = Field(default_factory=list)
