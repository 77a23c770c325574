"""From a reply to the page it means, and what that page changed: edits applied, lines compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff

from agents.builder.output import BuilderReply, Edit
from agents.outcome import ReplyRejected

MAX_DIFF = 50_000
# Comparing costs lines times lines where nothing is equal; pages beyond this are told as replaced.
MAX_COMPARED = 4_000_000
_FENCED = re.compile(r"\A\s*```[a-z]*\s*\n(.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """``text`` is a unified diff, cut where it is long; the counts are of all lines."""

    text: str
    added: int
    removed: int


def page_of(reply: BuilderReply, newest: str | None) -> str:
    """The page a reply means; a whole one counts before edits. Raises ReplyRejected for edits that fit nowhere."""
    whole = unfenced(reply.html or "")
    if whole or not reply.edits:
        return whole
    if newest is None:
        raise ReplyRejected("the builder sent edits, and there is no version yet to edit: the whole page is needed")
    return apply_edits(newest, reply.edits)


def apply_edits(page: str, edits: Sequence[Edit]) -> str:
    """The page after the edits, one after the other; each must find its text exactly once."""
    for number, edit in enumerate(edits, start=1):
        found = page.count(edit.find)
        if found != 1:
            raise ReplyRejected(
                f"edit {number} looks for {edit.find[:80]!r}, which is in the page {found} times, not once"
            )
        page = page.replace(edit.find, edit.replace)
    return page


def unfenced(html: str) -> str:
    fenced = _FENCED.match(html)
    return (fenced.group(1) if fenced else html).strip()


def compare(before: str, after: str) -> Diff:
    """What became of the page, by lines."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) * len(new) > MAX_COMPARED:
        return Diff(text=f"replaced: {len(old)} lines by {len(new)}", added=len(new), removed=len(old))
    lines = list(unified_diff(old, new, lineterm="", n=2))[2:]
    text = "\n".join(lines)
    return Diff(
        text=text if len(text) <= MAX_DIFF else text[:MAX_DIFF] + "\n[cut]",
        added=sum(line.startswith("+") for line in lines),
        removed=sum(line.startswith("-") for line in lines),
    )
