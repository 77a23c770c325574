"""What a reply wants remembered beyond the next turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from agents.changes import Learn


class Lesson(BaseModel):
    """One sentence worth remembering: a fact about project or people, or a learning about how to work."""

    kind: Literal["fact", "learning"]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
    importance: Annotated[int, Field(ge=1, le=10)]


Lessons = Annotated[list[Lesson], Field(max_length=3)]


def learned(lessons: Sequence[Lesson]) -> tuple[Learn, ...]:
    return tuple(Learn(content=one.text, kind=one.kind, importance=one.importance) for one in lessons)
