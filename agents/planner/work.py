"""When the planner has a reason to plan. First match wins; a quiet time keeps empty plans from costing for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.clock import remembered_count, remembered_time, scope_changes
from agents.planner.wishes import new_wishes
from agents.review import is_reviewed, last_review
from agents.snapshot import Snapshot
from agents.work import NOTHING, Agenda, Work, agenda

TIMER = timedelta(minutes=5)
REVIEW_PATIENCE = timedelta(minutes=5)
FIRST_QUIET = timedelta(minutes=1)
MAX_EMPTY_PLANS = 5
MOST_IN_VAIN = 20


def find_work(snapshot: Snapshot, now: datetime) -> Agenda:
    """The planner's reason to run, if any; nothing at all once the project is complete."""
    if snapshot.stack.phase == "complete":
        return NOTHING
    moments = (_quiet_until(snapshot, now), _patience_ends(snapshot), _timer(snapshot), _next_scope(snapshot))
    waits = [at for at in moments if at is not None]
    return agenda(_reasons(snapshot, now), waits, now)


def is_ready_to_finish(snapshot: Snapshot) -> bool:
    """The terminal rule: a demo whose todos are done, reviewed without critical issues, with no wish unheard."""
    return snapshot.stack.phase == "demo" and is_settled(snapshot) and not new_wishes(snapshot)


def is_settled(snapshot: Snapshot) -> bool:
    """Nothing open, and the newest artifact has been reviewed without critical issues."""
    return snapshot.todo_counts.open == 0 and is_reviewed(snapshot) and not last_review(snapshot).critical


def situation(snapshot: Snapshot) -> str:
    """Changes when the backlog or the artifact does: an empty plan is repeated only where it could end otherwise."""
    counts = snapshot.todo_counts
    version = snapshot.artifact.version if snapshot.artifact else 0
    ended = counts.completed + counts.cancelled + counts.failed
    return f"{snapshot.stack.phase}:{counts.open}:{ended}:v{version}:r{last_review(snapshot).version}"


def _reasons(snapshot: Snapshot, now: datetime) -> Iterator[Work]:
    planner = snapshot.agent("planner")
    since = _last_planned(snapshot)
    quiet_until = _quiet_until(snapshot, now)
    quiet = (quiet_until is not None and now < quiet_until) or _has_given_up(snapshot)
    if snapshot.idea is None:
        if not quiet:
            yield _work(10, "there is no project idea yet", "idea", since, urgent=True)
        return
    if is_ready_to_finish(snapshot):
        yield _work(9, "the demo is done and reviewed: complete the project", "finish", since)
    elif snapshot.todo_counts.open == 0 and not quiet and _review_is_in(snapshot, now):
        # After a quiet time the same question is worth another answer, a few times: each is a reason of its own.
        yield _work(9, "no todo is open", f"backlog:{situation(snapshot)}:{_empty_plans(snapshot)}", since)
    if planner.inbox:
        count = len(planner.inbox)
        reason = f"{count} recommendation{'s' if count > 1 else ''} of the reviewer"
        yield _work(8, reason, "inbox:" + ",".join(sorted(planner.inbox)[:20]), _advised_at(snapshot))
    wishes = new_wishes(snapshot)
    if wishes:
        yield _work(7, f"{wishes[0].sender} asks for a change", f"wish:{wishes[0].id}", wishes[0].at)
    timer = _timer(snapshot)
    if timer is not None and now >= timer:
        yield _work(4, "time to look over the plan", "timer", timer)


def _work(priority: int, reason: str, key: str, at: datetime, *, urgent: bool = False) -> Work:
    return Work(agent="planner", priority=priority, reason=reason, key=key, at=at, urgent=urgent)


def _last_planned(snapshot: Snapshot) -> datetime:
    planner = snapshot.agent("planner")
    started = snapshot.stack.started_at or snapshot.stack.created_at
    return remembered_time(planner.memory.get("last_planned_at")) or planner.last_run_at or started


def _timer(snapshot: Snapshot) -> datetime | None:
    """Looks that changed nothing come at growing intervals, and at last not at all until something happens."""
    if snapshot.idea is None or not snapshot.todo_counts.open or _has_given_up(snapshot):
        return None
    grown: int = 2 ** min(_empty_plans(snapshot), MAX_EMPTY_PLANS)
    return _last_planned(snapshot) + TIMER * grown


def _next_scope(snapshot: Snapshot) -> datetime | None:
    """A look over an unchanged plan asks nobody until less scope is left."""
    return None if _timer(snapshot) is None else scope_changes(snapshot)


def _empty_plans(snapshot: Snapshot) -> int:
    """How many plans in a row came to nothing while things were as they are."""
    memory = snapshot.agent("planner").memory
    return remembered_count(memory.get("empty_plans")) if memory.get("empty_at") == situation(snapshot) else 0


def _quiet_until(snapshot: Snapshot, now: datetime) -> datetime | None:
    if _has_given_up(snapshot) or (snapshot.idea and snapshot.todo_counts.open):
        return None
    until = remembered_time(snapshot.agent("planner").memory.get("quiet_until"))
    return until if until is not None and until > now else None


def _has_given_up(snapshot: Snapshot) -> bool:
    """Several empty plans on the same situation, or plan upon plan in vain: only an event is a reason then."""
    return _empty_plans(snapshot) >= MAX_EMPTY_PLANS or _goes_in_circles(snapshot)


def _goes_in_circles(snapshot: Snapshot) -> bool:
    """Far more todos failed or were cancelled than were ever completed."""
    counts = snapshot.todo_counts
    return counts.failed + counts.cancelled > MOST_IN_VAIN + 2 * counts.completed


def _patience_ends(snapshot: Snapshot) -> datetime | None:
    """An empty backlog waits for the review of the newest version, but not for ever."""
    if snapshot.artifact is None or is_reviewed(snapshot) or snapshot.todo_counts.open:
        return None
    return snapshot.artifact.created_at + REVIEW_PATIENCE


def _review_is_in(snapshot: Snapshot, now: datetime) -> bool:
    ends = _patience_ends(snapshot)
    return ends is None or now >= ends


def _advised_at(snapshot: Snapshot) -> datetime:
    return snapshot.artifact.created_at if snapshot.artifact else _last_planned(snapshot)
