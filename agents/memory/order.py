"""Putting an agent's memory in order, as work of its own: when there is much in it, old items are merged into fewer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from agents.ask import Ask, instructions, with_context
from agents.changes import Forget, Learn, Remember
from agents.clock import remembered_time
from agents.outcome import Outcome, ReplyRejected, shortened
from agents.snapshot import Snapshot
from agents.work import Recall, Work

MANY = 24  # the database keeps 40 an agent, so that there is time before items are lost
PAUSE = timedelta(hours=1)
MOST_SHOWN = 40
KEY = "memory"


class Summary(BaseModel):
    """One item in place of several: ``replaces`` are their ids."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
    importance: Annotated[int, Field(ge=1, le=10)]
    replaces: Annotated[list[str], Field(max_length=40)]


class OrderedMemory(BaseModel):
    thinking: Annotated[str, StringConstraints(max_length=2000)]
    summaries: Annotated[list[Summary], Field(max_length=8)]
    forget: Annotated[list[str], Field(max_length=40)]


def order_work(snapshot: Snapshot, agent: str, now: datetime) -> Iterator[Work]:
    """The reason to put the agent's memory in order, if there is one: much in it, and an hour since the last time."""
    count = snapshot.memory_counts.get(agent, 0)
    earliest = _earliest(snapshot, agent)
    if count >= MANY and (earliest is None or now >= earliest):
        yield Work(
            agent=agent,
            priority=2,
            reason=f"{count} items in memory are to be put in order",
            key=f"{KEY}:{now:%Y%m%d%H}",
            at=earliest or now,
            recall=Recall(text="", most=MOST_SHOWN, own=True),
        )


def order_waits(snapshot: Snapshot, agent: str) -> Iterator[datetime]:
    """When order is looked after the next time."""
    earliest = _earliest(snapshot, agent)
    if snapshot.memory_counts.get(agent, 0) >= MANY and earliest is not None:
        yield earliest


def is_order(work: Work) -> bool:
    return work.key.startswith(f"{KEY}:")


def ask(snapshot: Snapshot, work: Work) -> Ask:
    return Ask(
        system=instructions(__package__),
        user=with_context("Put this memory in order.", _context(snapshot, work)),
        output=OrderedMemory,
        temperature=0.2,
        max_output_tokens=2500,
        tier="small",
    )


def interpret(reply: OrderedMemory, snapshot: Snapshot, work: Work) -> Outcome:
    """Fewer items that say as much; raises ReplyRejected where nothing of what was shown is left or nothing changes."""
    shown = {str(item.id): item for item in snapshot.memories}
    gone: set[str] = {one for one in reply.forget if one in shown}
    summaries = []
    for summary in reply.summaries:
        replaced = {one for one in summary.replaces if one in shown}
        if len(replaced) > 1:
            gone |= replaced
            summaries.append(Learn(content=summary.text, kind="summary", importance=summary.importance))
    if not gone:
        raise ReplyRejected("nothing in memory was merged or forgotten")
    if len(gone) == len(shown) and not summaries:
        raise ReplyRejected("everything in memory would be forgotten: a summary is needed")
    return Outcome(
        thought=shortened(reply.thinking),
        action="remember",
        result={"items": len(shown), "merged_into": len(summaries), "gone": len(gone)},
        changes=(
            Forget(ids=tuple(UUID(one) for one in sorted(gone))),
            *summaries,
            Remember(set={"ordered_at": snapshot.now.isoformat()}),
        ),
    )


def _context(snapshot: Snapshot, work: Work) -> dict[str, Any]:
    idea = snapshot.idea
    return {
        "role": work.agent,
        "task": "memory",
        "idea": idea.title if idea else None,
        "items": [
            {
                "id": str(item.id),
                "kind": item.kind,
                "importance": item.importance,
                "since": item.created_at.isoformat(timespec="minutes"),
                "text": item.content,
            }
            for item in snapshot.memories
        ],
    }


def _earliest(snapshot: Snapshot, agent: str) -> datetime | None:
    last = remembered_time(snapshot.agent(agent).memory.get("ordered_at"))
    return None if last is None else last + PAUSE
