"""The simulated reviewer: its verdict is computed from the page, never acted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.page import check
from agents.simulated.dice import pick
from agents.simulated.memory import note


def reply(context: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """A verdict on the source in the context. Facts of the checks are reported by the role itself, not again here."""
    artifact = context.get("artifact") or {}
    found = check(str(artifact.get("source") or ""), todo=context.get("todo"))
    serious = [finding for finding in found if finding.severity != "minor"]
    version = artifact.get("version")
    if serious:
        thinking = f"Version {version} is not ready: {'; '.join(finding.text for finding in serious[:3])}."
    else:
        words = ("does what its todo asked", "holds together", "can be shown")
        thinking = f"Version {version} {pick(words, seed, version)}: it is self-contained, labelled and free of errors."
    verdict = "needs_work" if serious else "ready"
    learned = note("learning", f"Version {version} came with a defect: {serious[0].text}", 5) if serious else []
    return {"thinking": thinking, "verdict": verdict, "issues": [], "recommendations": [], "learned": learned}
