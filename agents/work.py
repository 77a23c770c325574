"""Work: the reason why an agent should run now, and when there might be some later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

ItemKind = Literal["todo", "visitor", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """The rows a run will own while it works: claimed at its begin, finished or given back at its end."""

    kind: ItemKind
    ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What a run wants of the stack's long-term memory: the items that fit ``text`` best, ``own`` ones only or all."""

    text: str
    most: int = 12
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One reason to run. ``key`` is stable while the reason stands; ``at`` says since when it does.

    What was asked under the same key before, the very same and without effect, is not asked again. ``beside`` says that
    it may run at the same time as other such work of its agent: each owns rows of its own and changes nothing else.
    """

    agent: str
    priority: int
    reason: str
    key: str
    at: datetime
    item: Item | None = None
    urgent: bool = False
    beside: bool = False
    recall: Recall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What an agent can do now, most important first, and the next moment worth another look.

    The daemon takes one of it a stage, passing over what was answered already.

    ``next_at`` is None when only an event (a row written by somebody) can make work.
    """

    work: tuple[Work, ...] = ()
    next_at: datetime | None = None


NOTHING = Agenda()


def agenda(candidates: Iterable[Work], waits: Iterable[datetime], now: datetime) -> Agenda:
    """The most important candidate (the longest waiting among equals) and the earliest wait that lies ahead.

    Where that may run beside others, all of those that may, in the same order.
    """
    ordered = sorted(candidates, key=lambda work: (-work.priority, work.at, work.key))
    chosen = [work for work in ordered if work.beside] if ordered and ordered[0].beside else ordered[:1]
    return Agenda(work=tuple(chosen), next_at=min((at for at in waits if at > now), default=None))
