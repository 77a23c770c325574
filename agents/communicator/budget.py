"""Which messages of other stacks may be answered: the brakes that keep fifty stacks from talking for ever.

A message that has made two hops ends its conversation. A broadcast is answered directly if at all, never by another
broadcast. Each stack writes at most so many replies an hour, and to the same stack only after a cool-down.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agents.clock import remembered_time
from agents.snapshot import Snapshot, TeamMessage

MAX_HOP = 2
HOURLY_REPLIES = 6
COOL_DOWN = timedelta(minutes=10)


def sent_replies(snapshot: Snapshot, now: datetime) -> list[tuple[str, datetime]]:
    """(recipient, when) of the last hour, out of the communicator's memory."""
    stored = snapshot.agent("communicator").memory.get("replies")
    pairs = [pair for pair in stored if isinstance(pair, list) and len(pair) == 2] if isinstance(stored, list) else []
    known = [(str(to), at) for to, when in pairs if (at := remembered_time(when)) is not None]
    return [(to, at) for to, at in known if now - at < timedelta(hours=1)]


def answerable(snapshot: Snapshot, messages: tuple[TeamMessage, ...], now: datetime) -> tuple[TeamMessage, ...]:
    """Those of the messages that may get a direct reply now, one per sender, within the budget."""
    sent = sent_replies(snapshot, now)
    cooling = {to for to, at in sent if now - at < COOL_DOWN}
    allowed: dict[str, TeamMessage] = {}
    for message in messages:
        sender = str(message.from_stack_id)
        foreign = message.from_stack_id is not None and message.from_stack_id != snapshot.stack.id
        if foreign and message.hop < MAX_HOP and sender not in cooling:
            allowed.setdefault(sender, message)
    return tuple(allowed.values())[: max(0, HOURLY_REPLIES - len(sent))]
