"""The simulated communicator: answers what was asked with facts of the context, and never praises what is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.simulated.dice import pick
from agents.simulated.library import words_of
from agents.simulated.memory import note

_WISH = frozenset(
    [
        "add",
        "feature",
        "features",
        "change",
        "different",
        "instead",
        "modify",
        "could",
        "should",
        "wish",
        "please",
        "make",
        "want",
    ]
)
_PROGRESS = frozenset(
    [
        "done",
        "finished",
        "ready",
        "progress",
        "status",
        "far",
        "when",
        "next",
        "plan",
        "planned",
        "todo",
        "left",
        "going",
    ]
)
_ABOUT = frozenset(["what", "about", "idea", "project", "who", "purpose", "building", "explain", "describe"])
_TRY = frozenset(["try", "use", "open", "see", "play", "live", "version", "run", "work", "works", "how"])
_SELF = frozenset(["bot", "ai", "robot", "real", "human", "simulated", "model", "person"])


def reply(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """The words for the context's task."""
    task = context.get("task")
    if task == "announce":
        return _announcement(context)
    if task == "team":
        return _replies(context, seed)
    return _answer(context, seed)


def _answer(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    question = context.get("question") or {}
    sender, text = str(question.get("sender") or "there"), str(question.get("text") or "")
    words = set(words_of(text))
    hello = pick(("Hi", "Hello", "Good to see you,"), seed, text)
    again = " again" if context.get("earlier") else ""
    parts = [part for wanted, part in _parts(context, text, words) if wanted][:2] or [
        _project(context),
        _state(context),
    ]
    return {
        "learned": note("fact", f"{sender} wishes: {_short(text)}", 4) if words & _WISH else [],
        "thinking": f"{sender} gets an answer from what is done and what is still open.",
        "answer": f"{hello}{again} {sender}! {' '.join(parts)}"[:1200],
    }


def _parts(context: Mapping[str, Any], text: str, words: set[str]) -> list[tuple[bool, str]]:
    return [
        (
            bool(words & _WISH),
            f"Thanks for the wish “{_short(text)}”; the planner will look at it, but it is not promised.",
        ),
        (bool(words & _SELF), "You are talking to the team's communicator, played by a simulated model."),
        (bool(words & _PROGRESS), _state(context)),
        (bool(words & _TRY), _live(context)),
        (bool(words & _ABOUT), _project(context)),
    ]


def _project(context: Mapping[str, Any]) -> str:
    idea = context.get("idea")
    if not idea:
        return "We have not settled on an idea yet."
    first = str(idea.get("description") or "").split(". ")[0].rstrip(".")
    return f"We are working on “{idea['title']}”" + (f": {first[0].lower()}{first[1:]}." if first else ".")


def _state(context: Mapping[str, Any]) -> str:
    done, still_open = context.get("done") or [], context.get("open") or []
    finished = f"The last thing we finished: {_short(done[0])}." if done else "Nothing is finished yet."
    coming = (
        f"Still open, so not there yet: {_short(still_open[0])}." if still_open else "Nothing is open at the moment."
    )
    return f"{finished} {coming}"


def _live(context: Mapping[str, Any]) -> str:
    version = context.get("version")
    if not version:
        return "There is no version to try yet."
    return f"Version {version} is live on this page and you can try it right now."


def _announcement(context: Mapping[str, Any]) -> dict[str, Any]:
    name = (context.get("stack") or {}).get("name")
    title = (context.get("idea") or {}).get("title") or "our project"
    done = context.get("done") or []
    newest = f" Newest in it: {_short(done[0])}." if done else ""
    text = f"{name} here: “{title}” can be tried. {_live(context)}{newest}"
    return {"thinking": "The planner asked for an announcement; it says what exists.", "announcement": text[:1200]}


def _replies(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    messages = context.get("messages") or []
    answerable = [one for one in messages if one.get("may_answer")]
    replies = [
        {"message_id": str(one["id"]), "content": f"Thanks, {one.get('from')}! {_project(context)} {_live(context)}"}
        for one in answerable
        if one.get("kind") == "direct" or "?" in str(one.get("text"))
    ][:1]
    read = "a message from another team" if len(messages) == 1 else f"{len(messages)} messages from other teams"
    thinking = f"Read {read}" + (", answered one." if replies else "; no answer needed.")
    return {"thinking": thinking, "replies": replies}


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return (line if len(line) <= 110 else line[:109] + "…").rstrip(".")
