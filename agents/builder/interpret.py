"""What a built page changes. A broken page is never published, and a todo is never finished without a page."""

from __future__ import annotations

import re

from agents.builder.ask import todo_of
from agents.builder.output import BuilderReply
from agents.changes import FinishTodo, PublishArtifact
from agents.outcome import Outcome, ReplyRejected, recent, shortened
from agents.page import blockers
from agents.snapshot import Snapshot
from agents.work import Work

_FENCED = re.compile(r"\A\s*```[a-z]*\s*\n(.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)


def interpret(reply: BuilderReply, snapshot: Snapshot, work: Work) -> Outcome:
    """The next version and the finished todo; raises ReplyRejected for an empty, unchanged or broken page."""
    todo = todo_of(snapshot, work)
    if todo is None:
        raise ReplyRejected(f"{work.key} is not open any more, so there is nothing to build for")
    html = _unfenced(reply.html)
    _judge(html, snapshot)
    version = snapshot.artifact.version + 1 if snapshot.artifact else 1
    summary = reply.summary or todo.content[:200]
    return Outcome(
        thought=shortened(reply.thinking),
        action="build",
        result={"todo": todo.content[:200], "version": version, "bytes": len(html.encode()), "summary": summary},
        changes=(PublishArtifact(content=html, description=summary, todo_id=todo.id), FinishTodo(id=todo.id)),
        context=recent(snapshot.agent("builder").context, reply.thinking, todo.content[:200]),
    )


def _unfenced(html: str) -> str:
    fenced = _FENCED.match(html)
    return (fenced.group(1) if fenced else html).strip()


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
