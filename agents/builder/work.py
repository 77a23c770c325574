"""When the builder has something to build: one todo a run, the most important first, the oldest among equals."""

from __future__ import annotations

from datetime import datetime
from textwrap import shorten

from agents.snapshot import Snapshot, Todo
from agents.work import NOTHING, Agenda, Item, Recall, Work, agenda


def find_work(snapshot: Snapshot, now: datetime) -> Agenda:
    """The next todo of the builder whose waiting time is over."""
    if snapshot.stack.phase == "complete" or snapshot.idea is None:
        return NOTHING
    todos = [todo for todo in snapshot.todos if todo.assigned_to == "builder" and todo.status == "pending"]
    ready = [todo for todo in todos if todo.available_at is None or todo.available_at <= now]
    ready.sort(key=lambda todo: (-todo.priority, todo.created_at, str(todo.id)))
    return agenda([_work(todo) for todo in ready[:1]], [todo.available_at for todo in todos if todo.available_at], now)


def _work(todo: Todo) -> Work:
    return Work(
        agent="builder",
        priority=8 if todo.priority >= 3 else 6,
        reason=shorten(todo.content, width=100, placeholder=" …"),
        key=f"todo:{todo.id}",
        at=max(todo.created_at, todo.available_at or todo.created_at),
        item=Item(kind="todo", ids=(todo.id,)),
        recall=Recall(text=todo.content),
    )
