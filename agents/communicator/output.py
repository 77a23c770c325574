"""What the communicator may say, one shape for each of its tasks."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from agents.memory.learned import Lessons

Thinking = Annotated[str, StringConstraints(max_length=2000)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1200)]


class CommunicatorAnswer(BaseModel):
    thinking: Thinking
    answer: Text
    learned: Lessons = Field(default_factory=list)


class CommunicatorAnnouncement(BaseModel):
    thinking: Thinking
    announcement: Text


class TeamAnswer(BaseModel):
    message_id: str
    content: Text


class CommunicatorReplies(BaseModel):
    thinking: Thinking
    replies: Annotated[list[TeamAnswer], Field(max_length=3)]
    learned: Lessons = Field(default_factory=list)
