"""What of a stack's memory enters a prompt: the newest thoughts and the best items recalled, within a token budget."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any

from agents.snapshot import Snapshot

KNOWN_TOKENS = 600
RECENT_TOKENS = 200
RECENT_THOUGHTS = 3
BYTES_PER_TOKEN = 3.5  # what prose in a request comes to; tokenizers differ by model


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def known(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The recalled items as prompts show them, best first, as many as fit."""
    items = [{"from": one.agent, "kind": one.kind, "text": one.content} for one in snapshot.memories]
    return _fitting(items, KNOWN_TOKENS)


def recent_thoughts(snapshot: Snapshot, agent: str) -> list[str]:
    """The agent's newest thoughts, oldest first, as many as fit; the newest are kept."""
    thoughts = snapshot.agent(agent).context.get("recent_thoughts")
    kept = [str(one) for one in thoughts][-RECENT_THOUGHTS:] if isinstance(thoughts, list) else []
    return _fitting(reversed(kept), RECENT_TOKENS)[::-1]


def _fitting(items: Iterable[Any], budget: int) -> list[Any]:
    """The first items whose words stay within the budget together; one that is too long is passed over."""
    shown: list[Any] = []
    for item in items:
        cost = tokens(str(item))
        if cost <= budget:
            budget -= cost
            shown.append(item)
    return shown
