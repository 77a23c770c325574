"""What a plan changes. The rules of the project are kept here, whatever the model says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from agents.changes import AddTodo, CancelTodo, Change, ClearInbox, Remember, SetIdea, SetPhase, UpdateTodo
from agents.clock import remembered_count
from agents.memory.learned import learned
from agents.outcome import Outcome, ReplyRejected, recent, shortened
from agents.planner.ask import shown_inbox
from agents.planner.output import PlannerReply
from agents.planner.wishes import MAX_REMEMBERED, new_wishes, seen_wishes
from agents.planner.work import FIRST_QUIET, is_ready_to_finish, is_settled, situation
from agents.snapshot import Phase, Snapshot, Todo
from agents.work import Work

MAX_OPEN = 20


def interpret(reply: PlannerReply, snapshot: Snapshot, work: Work) -> Outcome:
    """The plan as changes; raises ReplyRejected where an idea was asked for and none came."""
    if snapshot.idea is None and reply.idea is None:
        raise ReplyRejected("the planner was asked for a project idea and gave none")
    finishing = is_ready_to_finish(snapshot)
    plan = [*_idea(reply, snapshot)] if finishing else [*_idea(reply, snapshot), *_todos(reply, snapshot)]
    phase = "complete" if finishing else _phase(reply, snapshot, plan)
    if phase:
        plan.append(SetPhase(phase=phase))
    added = [change for change in plan if isinstance(change, AddTodo)]
    shown = shown_inbox(snapshot)
    return Outcome(
        thought=shortened(reply.thinking),
        action="planning",
        result={
            "reason": work.reason,
            "added": len(added),
            "updated": sum(isinstance(change, UpdateTodo) for change in plan),
            "cancelled": sum(isinstance(change, CancelTodo) for change in plan),
            "phase": phase,
            "ignored": len(reply.add) + len(reply.update) + len(reply.cancel) - _counted(plan),
        },
        changes=(*plan, *([ClearInbox(ids=shown)] if shown else []), _memory(snapshot, plan), *learned(reply.learned)),
        context=recent(snapshot.agent("planner").context, reply.thinking, work.reason),
    )


def _idea(reply: PlannerReply, snapshot: Snapshot) -> Iterator[Change]:
    if reply.idea is None:
        return
    current = snapshot.idea
    rewritten = current is not None and current.created_by == "planner" and reply.idea.title != current.title
    if current is None or (rewritten and new_wishes(snapshot)):
        yield SetIdea(title=reply.idea.title, description=reply.idea.description)


def _todos(reply: PlannerReply, snapshot: Snapshot) -> Iterator[Change]:
    own = {str(todo.id): todo for todo in snapshot.todos if _is_own(todo)}
    cancelled = {item for item in reply.cancel if item in own}
    yield from (CancelTodo(id=UUID(item)) for item in sorted(cancelled))
    edited: set[str] = set()
    for edit in reply.update:
        says_something = edit.content is not None or edit.priority is not None
        if edit.id in own and edit.id not in cancelled | edited and says_something:
            edited.add(edit.id)
            yield UpdateTodo(id=UUID(edit.id), content=edit.content, priority=edit.priority)
    known = {_plain(todo.content) for todo in snapshot.todos if todo.status != "failed"}
    known |= {_plain(todo.content) for todo in snapshot.done}
    room = MAX_OPEN - snapshot.todo_counts.open
    for draft in reply.add:
        if room > 0 and _plain(draft.content) not in known and draft.assigned_to not in snapshot.absent:
            known.add(_plain(draft.content))
            room -= 1
            yield AddTodo(content=draft.content, priority=draft.priority, assigned_to=draft.assigned_to)


def _is_own(todo: Todo) -> bool:
    """What a person wrote, and what somebody works on, is not the planner's to change."""
    return todo.assigned_by == "planner" and todo.status in ("pending", "failed")


def _phase(reply: PlannerReply, snapshot: Snapshot, plan: list[Change]) -> Phase | None:
    current = snapshot.stack.phase
    adds_building = any(isinstance(change, AddTodo) and change.assigned_to == "builder" for change in plan)
    wanted: Phase = reply.phase or current
    if current == "ideation" and (adds_building or snapshot.todo_counts.open):
        wanted = "building" if wanted == "ideation" else wanted
    if is_settled(snapshot) and not adds_building and current == "building":
        wanted = "demo"
    if wanted == "demo" and (snapshot.artifact is None or adds_building or snapshot.todo_counts.open):
        wanted = "building"
    return wanted if wanted != current else None


def _memory(snapshot: Snapshot, plan: list[Change]) -> Remember:
    now = snapshot.now
    seen = [*seen_wishes(snapshot), *(wish.id for wish in new_wishes(snapshot))][-MAX_REMEMBERED:]
    kept: dict[str, object] = {"last_planned_at": now.isoformat(), "seen_wishes": seen}
    if plan:
        return Remember(set=kept, drop=("quiet_until", "empty_plans", "empty_at"))
    memory = snapshot.agent("planner").memory
    before = remembered_count(memory.get("empty_plans")) if memory.get("empty_at") == situation(snapshot) else 0
    empty = before + 1
    quiet: timedelta = FIRST_QUIET * 2 ** min(empty - 1, 6)
    kept |= {"empty_plans": empty, "quiet_until": (now + quiet).isoformat(), "empty_at": situation(snapshot)}
    return Remember(set=kept)


def _counted(plan: list[Change]) -> int:
    return sum(isinstance(change, AddTodo | UpdateTodo | CancelTodo) for change in plan)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
