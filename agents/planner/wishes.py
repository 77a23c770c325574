"""What visitors want changed: decided on whole words, so that "address" asks for nothing."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from agents.snapshot import Snapshot

MAX_REMEMBERED = 60
NEWEST = 10  # of the answered lines: earlier ones were seen when they were new
_WORD = re.compile(r"[a-z]+")
_STRATEGIC = frozenset(
    (
        *("add", "adding", "feature", "features", "change", "changed", "different", "instead", "modify", "replace"),
        *("remove", "redesign", "rename", "improve", "pivot"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A strategic line of a visitor. ``id`` is the same before and after the communicator has answered it."""

    id: str
    sender: str
    text: str
    at: datetime


def is_strategic(text: str) -> bool:
    return not _STRATEGIC.isdisjoint(_WORD.findall(text.lower()))


def new_wishes(snapshot: Snapshot) -> tuple[Wish, ...]:
    """Waiting and answered lines that ask for a change and that no planning has seen yet, oldest first."""
    seen = seen_wishes(snapshot)
    lines = [(line.sender_name, line.content, line.created_at) for line in snapshot.visitor_messages]
    lines += [(line.sender_name, line.content, line.answered_at) for line in snapshot.conversation[-NEWEST:]]
    found = {
        (wish_id := _id(sender, text)): Wish(id=wish_id, sender=sender, text=text, at=at)
        for sender, text, at in lines
        if is_strategic(text)
    }
    return tuple(sorted((wish for wish in found.values() if wish.id not in seen), key=lambda wish: (wish.at, wish.id)))


def seen_wishes(snapshot: Snapshot) -> list[str]:
    seen = snapshot.agent("planner").memory.get("seen_wishes")
    return [item for item in seen if isinstance(item, str)] if isinstance(seen, list) else []


def _id(sender: str, text: str) -> str:
    return hashlib.blake2b(f"{sender}\n{text}".encode(errors="replace"), digest_size=6).hexdigest()
