"""What the builder is shown."""

from __future__ import annotations

from typing import Any

from agents.ask import Ask, cut, instructions, with_context
from agents.builder.output import BuilderReply
from agents.memory.window import known, recent_thoughts
from agents.page import MAX_BYTES
from agents.review import last_review
from agents.snapshot import Snapshot, Todo
from agents.work import Work

MAX_SOURCE = 50_000


def ask(snapshot: Snapshot, work: Work) -> Ask:
    verb = "Extend the page" if snapshot.artifact else "Write the first version of the page"
    return Ask(
        system=instructions(__package__),
        user=with_context(f"{verb} so that it fulfils the todo.", context(snapshot, work)),
        output=BuilderReply,
        temperature=0.7,
        max_output_tokens=16_000,
        tier="large",
    )


def todo_of(snapshot: Snapshot, work: Work) -> Todo | None:
    """The todo this work owns."""
    return snapshot.todo(work.item.ids[0]) if work.item and work.item.ids else None


def context(snapshot: Snapshot, work: Work) -> dict[str, Any]:
    idea, todo, artifact = snapshot.idea, todo_of(snapshot, work), snapshot.artifact
    return {
        "role": "builder",
        "task": "build",
        "stack": {"id": str(snapshot.stack.id), "name": snapshot.stack.name, "phase": snapshot.stack.phase},
        "idea": {"title": idea.title, "description": cut(idea.description, 2000)} if idea else None,
        "todo": {"id": str(todo.id), "content": todo.content, "last_error": todo.last_error} if todo else None,
        "done": [one.content for one in snapshot.done],
        "review_issues": list(last_review(snapshot).issues),
        "limits": {"max_bytes": MAX_BYTES, "network": False, "storage": False, "files": 1},
        "artifact": {"version": artifact.version, "source": cut(artifact.content or "", MAX_SOURCE)}
        if artifact
        else None,
        "memory": known(snapshot),
        "recent_thoughts": recent_thoughts(snapshot, "builder"),
    }
