"""What a review changes: facts of the static checks first, the model's opinion second, all of it with ids."""

from __future__ import annotations

from typing import Any

from agents.changes import Advise, Change, Remember
from agents.clock import percent_used
from agents.memory.learned import learned
from agents.outcome import Outcome, ReplyRejected, recent, shortened
from agents.review import MAX_ISSUES, last_review
from agents.reviewer.ask import findings
from agents.reviewer.output import ReviewerReply
from agents.snapshot import Snapshot
from agents.work import Work

MAX_ADVICE = 12
LATE_PERCENT = 85
_ORDER = {"critical": 0, "major": 1, "minor": 2}


def interpret(reply: ReviewerReply, snapshot: Snapshot, work: Work) -> Outcome:
    """Issues for the reviewer's memory, advice for the planner; raises ReplyRejected without a source to judge."""
    artifact = snapshot.artifact
    if artifact is None or artifact.content is None:
        raise ReplyRejected(f"{work.key}: the source of the version was not at hand, so nothing was reviewed")
    issues = _issues(reply, snapshot, artifact.version)
    # What the planner was told at an earlier review is not told again.
    advice = {issue["id"]: issue for issue in issues if str(issue["id"]).startswith(f"v{artifact.version}:")}
    for number, text in enumerate(reply.recommendations, start=1):
        item = {"id": f"v{artifact.version}:advice:{number}", "severity": "advice", "text": text}
        advice[item["id"]] = item
    counts = {level: sum(issue["severity"] == level for issue in issues) for level in _ORDER}
    memory = {
        "last_reviewed_version": artifact.version,
        "last_review_at": snapshot.now.isoformat(),
        "last_verdict": "needs_work" if counts["critical"] or counts["major"] else reply.verdict,
        "open_issues": issues,
    }
    changes: list[Change] = [Remember(set=memory), *learned(reply.learned)]
    if advice:
        changes.append(Advise(agent="planner", items=dict(list(advice.items())[:MAX_ADVICE])))
    return Outcome(
        thought=shortened(reply.thinking),
        action="review",
        result={"version": artifact.version, "verdict": memory["last_verdict"], **counts, "advice": len(advice)},
        changes=tuple(changes),
        context=recent(snapshot.agent("reviewer").context, reply.thinking, work.reason),
    )


def _issues(reply: ReviewerReply, snapshot: Snapshot, version: int) -> list[dict[str, Any]]:
    """Checked facts, what is still open from the last review, then new opinions.

    Facts keep their severity; late in the project an opinion is no longer critical, so that it can end.
    """
    facts = [
        {"id": f"v{version}:{finding.code}:{number}", "severity": finding.severity, "text": finding.text}
        for number, finding in enumerate(findings(snapshot), start=1)
    ]
    known = {fact["text"] for fact in facts}
    late = percent_used(snapshot) >= LATE_PERCENT
    opinions = [
        {"id": f"v{version}:opinion:{number}", "severity": issue.severity, "text": issue.description}
        for number, issue in enumerate(reply.issues, start=1)
    ]
    kept = []
    for issue in [*_left_open(reply, snapshot), *opinions]:
        if issue["text"] not in known:
            known.add(issue["text"])
            kept.append(issue | ({"severity": "major"} if late and issue["severity"] == "critical" else {}))
    return sorted([*facts, *kept], key=lambda issue: _ORDER[issue["severity"]])[:MAX_ISSUES]


def _left_open(reply: ReviewerReply, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Opinions of the last review that neither the version nor this review calls settled. Facts are looked up anew."""
    answers = snapshot.artifact.metadata.get("answers") if snapshot.artifact else None
    fixed = {
        note.get("id")
        for note in (answers if isinstance(answers, list) else [])
        if isinstance(note, dict) and note.get("fixed") is True
    }
    settled = fixed | set(reply.resolved)
    return [
        issue
        for issue in last_review(snapshot).issues
        if ":opinion:" in str(issue.get("id"))
        and issue.get("id") not in settled
        and issue.get("severity") in _ORDER
        and isinstance(issue.get("text"), str)
    ]
