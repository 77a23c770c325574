"""Open issues of the last review: the next version answers each of them, and says nothing that is not so."""

from __future__ import annotations

from collections.abc import Iterable

from agents.builder.output import IssueAnswer
from agents.changes import IssueNote
from agents.outcome import ReplyRejected
from agents.page import check
from agents.review import last_review
from agents.snapshot import Snapshot


def answered(given: Iterable[IssueAnswer], snapshot: Snapshot, page: str) -> tuple[IssueNote, ...]:
    """An answer for each open issue, in the review's order.

    Raises ReplyRejected for an issue without one, and for one that the static checks still find.
    """
    by_id = {answer.id: answer for answer in given}
    issues = [issue for issue in last_review(snapshot).issues if issue.get("id")]
    missing = [str(issue["id"]) for issue in issues if str(issue["id"]) not in by_id]
    if missing:
        raise ReplyRejected(f"open issues have no answer: {', '.join(missing[:10])}")
    still = {finding.text for finding in check(page)}
    for issue in issues:
        if by_id[str(issue["id"])].fixed and issue.get("text") in still:
            raise ReplyRejected(f"{issue['id']} is said to be fixed, but the page still shows it: {issue['text']}")
    return tuple(
        IssueNote(id=answer.id, fixed=answer.fixed, note=answer.note)
        for answer in (by_id[str(issue["id"])] for issue in issues)
    )
