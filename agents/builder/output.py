"""What the builder may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints


class BuilderReply(BaseModel):
    thinking: Annotated[str, StringConstraints(max_length=2000)]
    summary: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
    html: Annotated[str, StringConstraints(max_length=250_000)]
