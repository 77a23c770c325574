"""What the reviewer may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from agents.memory.learned import Lessons

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class Issue(BaseModel):
    severity: Literal["critical", "major", "minor"]
    description: Sentence


class ReviewerReply(BaseModel):
    thinking: Annotated[str, StringConstraints(max_length=2000)]
    verdict: Literal["ready", "needs_work"]
    issues: Annotated[list[Issue], Field(max_length=8)]
    recommendations: Annotated[list[Sentence], Field(max_length=5)]
    resolved: Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(max_length=20)] = Field(
        default_factory=list
    )
    learned: Lessons = Field(default_factory=list)
