"""What a built page changes. A broken page is never published, and a todo is never finished without a page."""

from __future__ import annotations

from agents.builder.answers import answered
from agents.builder.ask import todo_of
from agents.builder.output import BuilderReply
from agents.builder.patch import compare, page_of
from agents.changes import FinishTodo, PublishArtifact
from agents.memory.learned import learned
from agents.outcome import Outcome, ReplyRejected, recent, shortened
from agents.page import blockers
from agents.snapshot import Snapshot
from agents.work import Work


def interpret(reply: BuilderReply, snapshot: Snapshot, work: Work) -> Outcome:
    """The next version and the finished todo.

    Raises ReplyRejected for an empty, unchanged or broken page, and for one that leaves an open issue unanswered.
    """
    todo = todo_of(snapshot, work)
    if todo is None:
        raise ReplyRejected(f"{work.key} is not open any more, so there is nothing to build for")
    newest = snapshot.artifact
    before = newest.content if newest else None
    html = page_of(reply, before)
    _judge(html, snapshot)
    notes = answered(reply.answers, snapshot, html)
    diff = compare(before or "", html)
    base, summary = newest.version if newest else 0, reply.summary or todo.content[:200]
    published = PublishArtifact(
        content=html, description=summary, todo_id=todo.id, base=base, diff=diff.text, answers=notes
    )
    return Outcome(
        thought=shortened(reply.thinking),
        action="build",
        result={
            "todo": todo.content[:200],
            "version": base + 1,
            "bytes": len(html.encode()),
            "added_lines": diff.added,
            "removed_lines": diff.removed,
            "answered_issues": len(notes),
            "summary": summary,
        },
        changes=(published, FinishTodo(id=todo.id), *learned(reply.learned)),
        context=recent(snapshot.agent("builder").context, reply.thinking, todo.content[:200]),
    )


def _judge(html: str, snapshot: Snapshot) -> None:
    if not html:
        raise ReplyRejected("the builder returned an empty page")
    if "\x00" in html:
        raise ReplyRejected("the page holds a NUL character, which no HTML file may contain")
    if snapshot.artifact and snapshot.artifact.content == html:
        raise ReplyRejected(f"the page is the same as version {snapshot.artifact.version}: the todo changed nothing")
    found = blockers(html)
    if found:
        raise ReplyRejected("the page is broken: " + "; ".join(finding.text for finding in found[:5]))
