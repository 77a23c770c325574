"""What a call will probably take and may cost at most, before anybody is asked: what a reservation is made of.

No tokenizer: they differ by model, and the reply settles what the guess reserved. A token is never shorter than a byte
and in prose about four; two bytes a token is a bound that text reaches only on purpose.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache

import orjson
from pydantic import BaseModel

from agents.ask import Ask
from orchestrator.llm.schema import strict_schema

BYTES_PER_TOKEN = 3.5
FEWEST_BYTES_PER_TOKEN = 2
OVERHEAD_BYTES = 200  # roles, separators, the schema's frame
# How fast the expected length of replies follows what comes, and what it begins with, as a part of what is allowed.
WEIGHT = 0.2
FIRST_GUESS = 0.25


def size_of(ask: Ask, more: int = 0) -> int:
    """The bytes a provider reads for this question, ``more`` of which are not in it yet."""
    return len(ask.system.encode()) + len(ask.user.encode()) + _schema_size(ask.output) + OVERHEAD_BYTES + more


@cache
def _schema_size(output: type[BaseModel]) -> int:
    return len(orjson.dumps(strict_schema(output)))


def tokens_in(size: int) -> int:
    """About how many tokens a prompt of ``size`` bytes is."""
    return round(size / BYTES_PER_TOKEN)


def most_tokens_in(size: int) -> int:
    """More tokens than a prompt of ``size`` bytes can be."""
    return size // FEWEST_BYTES_PER_TOKEN + 1


class ReplyLengths:
    """How long replies usually are, in tokens, by role and model."""

    def __init__(self) -> None:
        self._expected: dict[Hashable, float] = {}

    def expect(self, who: Hashable, most: int) -> int:
        """The tokens to reserve for the next reply: twice the usual length, never more than ``most``."""
        usual = self._expected.get(who)
        return round(min(most, most * FIRST_GUESS if usual is None else usual * 2))

    def note(self, who: Hashable, tokens: int) -> None:
        before = self._expected.get(who, float(tokens))
        self._expected[who] = before + WEIGHT * (tokens - before)
