"""When the communicator has somebody to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.communicator.budget import answerable
from agents.snapshot import NAMELESS, Snapshot, TeamMessage, Todo, VisitorMessage
from agents.work import NOTHING, Agenda, Item, Recall, Work, agenda

DIGEST_AFTER = timedelta(minutes=10)
DIGEST_SIZE = 15


def find_work(snapshot: Snapshot, now: datetime) -> Agenda:
    """A waiting visitor before everything; then the team's mail; then announcements the planner asked for."""
    if snapshot.stack.phase == "complete":
        return NOTHING
    return agenda(
        [*_visitors(snapshot, now), *_team(snapshot, now), *_announcements(snapshot, now)], _waits(snapshot), now
    )


def unread(snapshot: Snapshot, now: datetime) -> tuple[TeamMessage, ...]:
    """Messages of other stacks whose waiting time is over, oldest first."""
    return tuple(
        message
        for message in snapshot.team_messages
        if message.from_stack_id != snapshot.stack.id and (message.available_at is None or message.available_at <= now)
    )


def announcements(snapshot: Snapshot) -> tuple[Todo, ...]:
    """Open todos to announce something. The planner's own wait until there is a version to talk about."""
    return tuple(
        todo
        for todo in snapshot.todos
        if todo.assigned_to == "communicator"
        and todo.status == "pending"
        and (snapshot.artifact is not None or todo.assigned_by != "planner")
    )


def _visitors(snapshot: Snapshot, now: datetime) -> Iterator[Work]:
    """Everybody's first line at once; a visitor's next line waits for the one before, so answers keep its order."""
    first = {_visitor(message): message for message in reversed(snapshot.visitor_messages)}
    for message in sorted(first.values(), key=lambda one: (one.created_at, one.id)):
        if message.available_at is None or message.available_at <= now:
            yield Work(
                agent="communicator",
                priority=10,
                reason=f"{message.sender_name} waits for an answer",
                key=f"visitor:{message.id}",
                at=message.created_at,
                item=Item(kind="visitor", ids=(message.id,)),
                urgent=True,
                beside=True,
                recall=Recall(text=f"{message.sender_name} {message.content}"),
            )


def _visitor(message: VisitorMessage) -> str:
    """Who wrote it; those who gave no name are taken for different people."""
    return message.sender_name if message.sender_name != NAMELESS else str(message.id)


def _team(snapshot: Snapshot, now: datetime) -> Iterator[Work]:
    messages = unread(snapshot, now)
    if not messages:
        return
    count = len(messages)
    worth_it = bool(answerable(snapshot, messages, now)) or any(one.message_type == "direct" for one in messages)
    if not worth_it and count < DIGEST_SIZE and now < messages[0].created_at + DIGEST_AFTER:
        return
    yield Work(
        agent="communicator",
        priority=7 if worth_it else 3,
        reason=f"{count} unread message{'s' if count > 1 else ''} of other stacks",
        key=f"messages:{messages[0].id}",
        at=messages[0].created_at,
        item=Item(kind="message", ids=tuple(message.id for message in messages)),
    )


def _announcements(snapshot: Snapshot, now: datetime) -> Iterator[Work]:
    for todo in announcements(snapshot):
        if todo.available_at is None or todo.available_at <= now:
            yield Work(
                agent="communicator",
                priority=6,
                reason="something is to be announced",
                key=f"todo:{todo.id}",
                at=todo.created_at,
                item=Item(kind="todo", ids=(todo.id,)),
            )


def _waits(snapshot: Snapshot) -> Iterator[datetime]:
    yield from (line.available_at for line in snapshot.visitor_messages if line.available_at)
    yield from (line.available_at for line in snapshot.team_messages if line.available_at)
    yield from (todo.available_at for todo in announcements(snapshot) if todo.available_at)
    for message in snapshot.team_messages:
        yield message.created_at + DIGEST_AFTER
