"""The simulated planner: plans real features, turns findings into repairs, and brings the project home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.simulated.dice import pick
from agents.simulated.memory import note
from agents.simulated.project import Project, feature_for, project

REPAIR = "Repair what the review found"
IDEAS = (
    ("Focus timer for rainy evenings", "A calm timer with rounds and rests for people who study after work."),
    ("Pocket phrasebook flashcards", "Flashcards with everyday phrases for a weekend abroad."),
    ("Kitchen unit converter", "Converts cups, spoons and ounces while you cook."),
    ("Planet quiz for curious kids", "A quiz about planets and stars with hints and a streak."),
    ("Water tracker", "Track how much water you drink and reach a daily goal."),
    ("Fair bill splitter", "A calculator that splits a bill and a tip without an argument."),
    ("Tiny sprint board", "A board with three columns for a team that hates meetings."),
    ("Doodle corner", "A canvas to draw on during long calls, with stamps and a palette."),
    ("Garden journal", "Notes about every plant in the garden, pinned and searchable."),
    ("Packing list that thinks along", "A packing list for a trip with groups and progress."),
    ("Capital cities trivia", "A geography quiz that repeats what went wrong."),
    ("Practice tracker for musicians", "Track the minutes of music practice of every day."),
)


def reply(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """One plan for the task in the context."""
    if not context.get("idea"):
        return _invent(context)
    made = project(context)
    if context.get("task") == "finish":
        return _say(f"{made.title} does what we promised and the review is clean. We stop here and leave it running.")
    repairs = _repairs(context)
    wishes = _wishes(context, made)
    if repairs or wishes:
        parts = ["The review found defects, they go first."] if repairs else []
        parts += ["A visitor's wish becomes a todo."] if wishes else []
        return _say(" ".join(parts), add=[*repairs, *wishes])
    if context.get("task") != "timer" and not context.get("artifact") and not _open(context) and not context["done"]:
        return _say(_opening(made), phase="building", add=_first_plan(made))
    if context.get("ready_for_demo"):
        return _say(f"{made.title} has its features and the review is clean: time for the demo.", phase="demo")
    return _say("The order of the plan is still right; nothing to change.")


def _invent(context: Mapping[str, Any]) -> dict[str, Any]:
    name = str((context.get("stack") or {}).get("name") or "")
    title, description = pick(IDEAS, name)
    made = project({**context, "idea": {"title": title, "description": description}})
    idea = {"title": title, "description": description}
    learned = note("fact", f"The project is “{title}”: {description}", 8)
    said = _say(f"Our project is “{title}”. {_opening(made)}", idea=idea, phase="building", add=_first_plan(made))
    return {**said, "learned": learned}


def _opening(made: Project) -> str:
    names = ", ".join(one.title.lower() for one in made.plan[1:4])
    return f"First the core, then {names}: each is one turn of work and can be seen at once."


def _first_plan(made: Project) -> list[dict[str, Any]]:
    todos = [_todo(one.todo, 9 - number) for number, one in enumerate(made.plan[:5])]
    return [*todos, _todo(f"Announce to the other teams that {made.title} can be tried.", 4, "communicator")]


def _repairs(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    notes = [item.get("note") for item in context.get("inbox") or []]
    found = [note for note in notes if isinstance(note, dict) and note.get("severity") in ("critical", "major")]
    if not found:
        return []
    text = "; ".join(f"{note.get('id')} {note.get('text')}" for note in found)
    return [_todo(f"{REPAIR}: {text}"[:600], 10)]


def _wishes(context: Mapping[str, Any], made: Project) -> list[dict[str, Any]]:
    planned = " ".join([*context["done"], *(str(todo.get("content")) for todo in context["todos"])])
    added = []
    for wish in (context.get("wishes") or [])[:3]:
        feature = feature_for(made, str(wish.get("text")))
        sender = str(wish.get("sender"))
        if feature and feature.todo not in planned:
            added.append(_todo(f"{feature.todo} Asked for by {sender}.", 6))
        else:
            added.append(_todo(f"{sender} asks: {str(wish.get('text'))[:300]}", 5))
    return added


def _open(context: Mapping[str, Any]) -> int:
    counts = context.get("counts") or {}
    return int(counts.get("pending", 0)) + int(counts.get("in_progress", 0))


def _todo(content: str, priority: int, assigned_to: str = "builder") -> dict[str, Any]:
    return {"content": content, "priority": priority, "assigned_to": assigned_to}


def _say(
    thinking: str,
    *,
    idea: dict[str, str] | None = None,
    phase: str | None = None,
    add: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {"thinking": thinking, "idea": idea, "phase": phase, "add": add or [], "update": [], "cancel": []}
