"""What an agent wants from a model: instructions, context and the shape of the reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel

Tier = Literal["small", "large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to a model. ``user`` ends with one fenced json block: the structured context.

    ``question`` stands for ``user`` where that holds what changes by itself, a clock for instance: a stored reply
    answers every ask with the same question.
    """

    system: str
    user: str
    output: type[BaseModel]
    temperature: float
    max_output_tokens: int
    tier: Tier
    question: str | None = None


def ask_hash(ask: Ask) -> str:
    """SHA-256, in hex, of what is asked; two asks with equal hashes may share a reply."""
    parts = (ask.system, ask.question or ask.user, ask.output.__qualname__, ask.tier)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def instructions(package: str) -> str:
    """The role's ``prompt.md``, which lies beside its code."""
    return files(package).joinpath("prompt.md").read_text(encoding="utf-8").strip()


def with_context(task: str, context: Mapping[str, Any]) -> str:
    """The task in words, then the context as one fenced json block.

    Escaped newlines keep text of visitors or other stacks from closing the fence.
    """
    return f"{task.strip()}\n\n```json\n{json.dumps(context, ensure_ascii=False, default=str)}\n```"


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with a note of how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {len(text) - limit} of {len(text)} characters are not shown]"
