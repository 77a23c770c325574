"""The simulated builder: adds the todo's feature to the features built so far, and repairs what a review found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.page import check
from agents.simulated.compose import Built, compose, read_built
from agents.simulated.dice import pick
from agents.simulated.library import CORE, Feature
from agents.simulated.planner import REPAIR
from agents.simulated.project import Project, feature_for, project

MAX_REQUESTS = 12


def reply(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """The whole next version. A defect planned for the first build stays until a todo asks for its repair."""
    made = project(context)
    artifact = context.get("artifact") or {}
    before = read_built(str(artifact.get("source") or ""))
    todo = str((context.get("todo") or {}).get("content") or "")
    version = int(artifact.get("version") or 0) + 1
    built, summary = _next(made, before, todo)
    html = compose(made, built, version)
    opening = pick(("Done:", "Built and tried out:", "This version brings it:"), made.seed, seed, "opening")
    return {
        "thinking": f"{opening} {summary} Features so far: {len(built.features)}, still in one file.",
        "summary": summary,
        **_form(str(artifact.get("source") or ""), html, repair=todo.startswith(REPAIR)),
        "answers": _answers(context, html),
    }


def _form(before: str, html: str, *, repair: bool) -> dict[str, Any]:
    """A repair comes as edits where every changed line of the page stands in it once; all else as the whole page."""
    old, new = before.splitlines(), html.splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    one_each = all(a and "\n".join(old).count(a) == 1 for a, _ in changed)
    if not repair or len(old) != len(new) or not changed or not one_each:
        return {"html": html, "edits": []}
    return {"html": None, "edits": [{"find": a, "replace": b} for a, b in changed]}


def _answers(context: Mapping[str, Any], html: str) -> list[dict[str, Any]]:
    """What became of each open issue, read off the page itself."""
    still = {finding.text for finding in check(html)}
    answers = []
    for issue in context.get("review_issues") or []:
        fixed = issue.get("text") not in still
        note = "repaired in this version" if fixed else "its repair is a todo of its own"
        answers.append({"id": str(issue.get("id")), "fixed": fixed, "note": note})
    return answers


def _next(made: Project, before: Built | None, todo: str) -> tuple[Built, str]:
    if before is None:
        feature = feature_for(made, todo)
        more = () if feature is None or feature.id == CORE else (feature.id,)
        built = Built(features=(CORE, *more), defect=made.defect)
        core = made.archetype.features[0]
        return built, f"{core.title} is there." if not more else _added(feature, core)
    if todo.startswith(REPAIR):
        return Built(features=before.features, requests=before.requests), "Repaired what the review found."
    feature = feature_for(made, todo)
    if feature is not None and feature.id not in before.features:
        built = Built(features=(*before.features, feature.id), defect=before.defect, requests=before.requests)
        return built, f"{feature.title} is added."
    requests = (*before.requests, todo[:200])[-MAX_REQUESTS:]
    summary = f"Put on the page's list of requests: {todo[:120]}"
    return Built(features=before.features, defect=before.defect, requests=requests), summary


def _added(feature: Feature | None, core: Feature) -> str:
    return f"{core.title} and {feature.title} are there." if feature else f"{core.title} is there."
