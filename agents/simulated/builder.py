"""The simulated builder: adds the todo's feature to the features built so far, and repairs what a review found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    opening = pick(("Done:", "Built and tried out:", "This version brings it:"), made.seed, seed, "opening")
    return {
        "thinking": f"{opening} {summary} Features so far: {len(built.features)}, still in one file.",
        "summary": summary,
        "html": compose(made, built, version),
    }


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
