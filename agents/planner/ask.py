"""What the planner is shown."""

from __future__ import annotations

from typing import Any

from agents.ask import Ask, cut, instructions, with_context
from agents.clock import clock
from agents.memory.window import known, recent_thoughts
from agents.planner.output import PlannerReply
from agents.planner.wishes import new_wishes
from agents.planner.work import is_settled
from agents.review import is_reviewed, last_review
from agents.snapshot import Snapshot
from agents.work import Work

MAX_INBOX = 20
TASKS = {
    "idea": "Invent a project idea that one web page can carry, and plan the first todos for it.",
    "finish": "The demo is done and reviewed. Say in a few words what was reached; plan nothing more.",
    "backlog": "No todo is open. Add the next todos, or move the phase on if the project has what it needs.",
    "inbox": "The reviewer has recommendations. Turn those that matter into todos, most severe first.",
    "wish": "A visitor asks for a change. Decide whether it fits the project; if so, make it a todo.",
    "timer": "Look over the plan: is the order still right, is anything obsolete?",
}


def ask(snapshot: Snapshot, work: Work) -> Ask:
    kind = work.key.partition(":")[0]
    task, shown = TASKS.get(kind, TASKS["timer"]), context(snapshot, kind)
    # Neither the minute nor its own last words are news to it; the scope that its time leaves is.
    question = shown | {"clock": {"scope": shown["clock"]["scope"]}, "recent_thoughts": None}
    return Ask(
        system=instructions(__package__),
        user=with_context(task, shown),
        question=with_context(task, question),
        output=PlannerReply,
        temperature=0.8,
        max_output_tokens=4000,
        tier="small",
    )


def shown_inbox(snapshot: Snapshot) -> tuple[str, ...]:
    """The ids of the inbox items this planning sees, and therefore may clear."""
    return tuple(sorted(snapshot.agent("planner").inbox)[:MAX_INBOX])


def context(snapshot: Snapshot, kind: str) -> dict[str, Any]:
    planner, idea, counts = snapshot.agent("planner"), snapshot.idea, snapshot.todo_counts
    review = last_review(snapshot)
    return {
        "role": "planner",
        "task": kind,
        "stack": {"id": str(snapshot.stack.id), "name": snapshot.stack.name, "phase": snapshot.stack.phase},
        "clock": clock(snapshot),
        "idea": {"title": idea.title, "description": cut(idea.description, 2000)} if idea else None,
        "todos": [
            todo.model_dump(
                mode="json", include={"id", "content", "status", "priority", "assigned_to", "assigned_by", "last_error"}
            )
            for todo in snapshot.todos[:40]
        ],
        "counts": counts.model_dump(),
        "absent": sorted(snapshot.absent),
        "done": [todo.content for todo in snapshot.done],
        "list_is_bloated": counts.pending > 15,
        "artifact": {
            "version": snapshot.artifact.version,
            "description": snapshot.artifact.metadata.get("description", ""),
            "reviewed": is_reviewed(snapshot),
        }
        if snapshot.artifact
        else None,
        "ready_for_demo": snapshot.stack.phase == "building" and is_settled(snapshot),
        "review": {"version": review.version, "issues": list(review.issues)},
        "inbox": [{"id": item, "note": planner.inbox[item]} for item in shown_inbox(snapshot)],
        "wishes": [
            {"id": wish.id, "sender": wish.sender, "text": cut(wish.text, 600)} for wish in new_wishes(snapshot)[:10]
        ],
        "memory": known(snapshot),
        "recent_thoughts": recent_thoughts(snapshot, "planner"),
    }
