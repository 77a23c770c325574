"""A role with a memory: its work recalls what fits, and putting that memory in order is work of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from agents.ask import Ask
from agents.memory import order
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Recall, Work
from agents.wrapped import Wrapped


class Remembering(Wrapped):
    """The given agent; what it does with its memory is said here once for all roles."""

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        """The agent's own work, and order behind it: the daemon may find that the first was answered already."""
        found = super().find_work(snapshot, now)
        works = tuple(_recalling(work, snapshot) for work in found.work)
        if snapshot.stack.phase == "complete":
            return replace(found, work=works)
        waits = [at for at in (found.next_at, *order.order_waits(snapshot, self.name)) if at is not None and at > now]
        return Agenda(work=(*works, *order.order_work(snapshot, self.name, now)), next_at=min(waits, default=None))

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return order.ask(snapshot, work) if order.is_order(work) else super().ask(snapshot, work)

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        if order.is_order(work):
            return order.interpret(reply, snapshot, work)
        return super().interpret(reply, snapshot, work)


def _recalling(work: Work, snapshot: Snapshot) -> Work:
    """The work with what it recalls, by default for its reason; nothing where the stack remembers nothing."""
    if not snapshot.memory_counts:
        return replace(work, recall=None)
    if work.recall is not None:
        return work
    return replace(work, recall=Recall(text=f"{work.reason} {snapshot.idea.title if snapshot.idea else ''}".strip()))
