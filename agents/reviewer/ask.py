"""What the reviewer is shown."""

from __future__ import annotations

from typing import Any

from agents.ask import Ask, cut, instructions, with_context
from agents.clock import clock
from agents.memory.window import known
from agents.page import Finding, check
from agents.review import last_review
from agents.reviewer.output import ReviewerReply
from agents.snapshot import Snapshot
from agents.work import Work

MAX_SOURCE = 50_000


def ask(snapshot: Snapshot, work: Work) -> Ask:
    task, shown = "Review the newest version of the page.", context(snapshot)
    return Ask(
        system=instructions(__package__),
        user=with_context(task, shown),
        question=with_context(task, shown | {"clock": None}),
        output=ReviewerReply,
        temperature=0.3,
        max_output_tokens=2000,
        tier="small",
    )


def findings(snapshot: Snapshot) -> tuple[Finding, ...]:
    """What the static checks say about the newest version and the todo it was built for."""
    artifact = snapshot.artifact
    if artifact is None or artifact.content is None:
        return ()
    return check(artifact.content, todo=_todo_text(snapshot))


def _todo_text(snapshot: Snapshot) -> str | None:
    todo_id = snapshot.artifact.todo_id if snapshot.artifact else None
    return next((todo.content for todo in snapshot.done if todo.id == todo_id), None)


def context(snapshot: Snapshot) -> dict[str, Any]:
    idea, artifact = snapshot.idea, snapshot.artifact
    return {
        "role": "reviewer",
        "task": "review",
        "stack": {"id": str(snapshot.stack.id), "name": snapshot.stack.name, "phase": snapshot.stack.phase},
        "clock": clock(snapshot),
        "idea": {"title": idea.title, "description": cut(idea.description, 2000)} if idea else None,
        "todo": _todo_text(snapshot),
        "counts": snapshot.todo_counts.model_dump(),
        "done": [todo.content for todo in snapshot.done],
        "open": [todo.content for todo in snapshot.todos[:20]],
        "memory": known(snapshot),
        "previous_issues": list(last_review(snapshot).issues),
        "artifact": {
            "version": artifact.version,
            "description": artifact.metadata.get("description", ""),
            "answers": artifact.metadata.get("answers", []),
            "source": cut(artifact.content or "", MAX_SOURCE),
        }
        if artifact
        else None,
        "checks": [
            {"code": finding.code, "severity": finding.severity, "text": finding.text} for finding in findings(snapshot)
        ],
    }
