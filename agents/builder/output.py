"""What the builder may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from agents.memory.learned import Lessons


class Edit(BaseModel):
    """One place of the newest version: ``find`` occurs in it exactly once and becomes ``replace``."""

    find: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    replace: Annotated[str, StringConstraints(max_length=50_000)]


class IssueAnswer(BaseModel):
    """What became of one open issue of the last review."""

    id: Annotated[str, StringConstraints(max_length=100)]
    fixed: bool
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class BuilderReply(BaseModel):
    """The next version: the whole page in ``html``, or the newest one with ``edits``."""

    thinking: Annotated[str, StringConstraints(max_length=2000)]
    summary: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
    html: Annotated[str, StringConstraints(max_length=250_000)] | None = None
    edits: Annotated[list[Edit], Field(max_length=40)] = Field(default_factory=list)
    answers: Annotated[list[IssueAnswer], Field(max_length=20)] = Field(default_factory=list)
    learned: Lessons = Field(default_factory=list)
