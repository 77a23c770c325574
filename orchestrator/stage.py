"""Who runs together now, and when the stack is due again. Pure: values in, values out.

Rules: per agent its most important work, several where they may run beside each other; among agents the highest
priority wins (the longer waiting among equals), and whoever excludes somebody already chosen stays out until the next
cycle; an agent's routine work keeps the cadence, and urgent work does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agents.work import Agenda, Work

SHORTEST_WAIT = timedelta(seconds=1)
IDLE = "idle: nothing to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the stage rule knows of one agent."""

    excludes: frozenset[str]
    last_run_at: datetime | None
    slower: float = 1.0  # how many times the cadence lies between routine runs
    not_before: datetime | None = None  # after a failure that no work item counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """``runs`` never exclude each other and hold each agent once, but for work that may run beside its own kind.

    ``next_at`` is the earliest later look.
    """

    runs: tuple[Work, ...]
    next_at: datetime | None


def plan_stage(
    agendas: Mapping[str, Agenda],
    rules: Mapping[str, Rules],
    *,
    now: datetime,
    cadence: timedelta,
    most: int | None = None,
) -> Stage:
    """Choose the stage of one stack, at most ``most`` runs, from what its agents would do.

    ``rules`` are asked for those alone who have work.
    """
    waits = [agenda.next_at for agenda in agendas.values() if agenda.next_at is not None]
    ready: list[Work] = []
    for name, agenda in agendas.items():
        possible = []
        for work in agenda.work:
            start = _earliest(work, rules[name], cadence)
            if start is None or start <= now:
                possible.append(work)
            else:
                waits.append(start)
        ready += _first(sorted(possible, key=_importance))
    chosen = _together(sorted(ready, key=_importance), rules)
    if len(chosen) > len(chosen[:most]):
        waits.append(now)  # whoever found no room is looked at again whatever becomes of the others
    return Stage(runs=chosen[:most], next_at=min(waits, default=None))


def _first(possible: Sequence[Work]) -> Sequence[Work]:
    """An agent's most important work; where that may run beside others of its kind, all of those."""
    return [work for work in possible if work.beside] if possible and possible[0].beside else possible[:1]


def _importance(work: Work) -> tuple[int, datetime, str]:
    return (-work.priority, work.at, work.agent)


def _earliest(work: Work, rules: Rules, cadence: timedelta) -> datetime | None:
    spaced = None if work.urgent or rules.last_run_at is None else rules.last_run_at + cadence * rules.slower
    return max((moment for moment in (spaced, rules.not_before) if moment is not None), default=None)


def _together(ready: Sequence[Work], rules: Mapping[str, Rules]) -> tuple[Work, ...]:
    chosen: list[Work] = []
    for work in ready:
        # Exclusion holds in both directions, whoever of the two declared it.
        if not any(
            other.agent in rules[work.agent].excludes or work.agent in rules[other.agent].excludes for other in chosen
        ):
            chosen.append(work)
    return tuple(chosen)


class End(StrEnum):
    """How one agent's turn ended, as far as the stack's next due time is concerned."""

    PROGRESS = "progress"  # effects are on their way: look again at once, on a fresh snapshot
    FAILED = "failed"
    WAITING = "waiting"  # nobody's fault: model away, daemon leaving
    SHORT = "short"  # quota or budget: the reason says which; without a time somebody has to act
    CHANGED = "changed"  # the work was no longer there: the snapshot was old
    HELD = "held"  # paused, stopped or taken over: a wake decides


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    agent: str
    end: End
    reason: str = ""
    retry: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When to look again (None: when something wakes the stack) and what people are told meanwhile."""

    after: timedelta | None
    reason: str | None


def settle(ends: Sequence[TurnEnd], *, next_at: datetime | None, now: datetime) -> Due:
    """The stack's next due time after these turns (none: nothing could run)."""
    if not ends:
        return _look_again(next_at, now)
    if any(end.end is End.PROGRESS for end in ends):
        return Due(after=timedelta(0), reason=None)
    if any(end.end is End.HELD for end in ends):
        return Due(after=timedelta(0), reason=None)  # whoever holds it decides; a running stack is looked at again
    waits = [end for end in ends if end.end in {End.WAITING, End.FAILED} or (end.end is End.SHORT and end.retry)]
    held = next((end for end in ends if end.end is End.SHORT and end.retry is None), None)
    if not waits and held is not None and all(end is held or end.end is End.SHORT for end in ends):
        again = None if next_at is None else max(SHORTEST_WAIT, next_at - now)
        return Due(after=again, reason=_why(held))
    if not waits:
        return Due(after=SHORTEST_WAIT, reason=None)
    first = min(waits, key=lambda end: end.retry or SHORTEST_WAIT)
    wait = max(SHORTEST_WAIT, first.retry or SHORTEST_WAIT)
    if next_at is not None:
        wait = max(SHORTEST_WAIT, min(wait, next_at - now))
    return Due(after=wait, reason=_why(first))


def _look_again(next_at: datetime | None, now: datetime) -> Due:
    if next_at is None:
        return Due(after=None, reason=IDLE)
    wait = max(SHORTEST_WAIT, next_at - now)
    return Due(after=wait, reason=f"next look at {now + wait:%H:%M:%S} UTC")


def _why(end: TurnEnd) -> str:
    retry = f", retry in {_words(end.retry)}" if end.retry else ""
    match end.end:
        case End.WAITING:
            return f"waiting for model: {end.reason}{retry}"[:500]
        case End.SHORT:
            return f"{end.reason}{retry}"[:500]
        case _:
            return f"{end.agent} failed: {end.reason}{retry}"[:500]


def _words(wait: timedelta) -> str:
    seconds = max(1, round(wait.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
