"""The simulated team's memory: what it notes down, and how it puts its notes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KEPT = 8
SUMMARY_CHARACTERS = 380


def note(kind: str, text: str, importance: int) -> list[dict[str, Any]]:
    """One lesson, as replies carry it."""
    return [{"kind": kind, "text": text[:300], "importance": importance}]


def reply(context: Mapping[str, Any]) -> dict[str, Any]:
    """The newest items stay, the older ones of a kind become one summary, as far as their words fit; the rest goes."""
    items = sorted(context.get("items") or [], key=lambda item: str(item.get("since")))
    old = items[: max(0, len(items) - KEPT)]
    summaries, forget = [], []
    for kind in ("fact", "learning", "summary"):
        group = [item for item in old if item.get("kind") == kind]
        told, ids = _merged(group)
        if len(ids) > 1:
            importance = max(int(item.get("importance") or 5) for item in group if item["id"] in ids)
            summaries.append({"text": told, "importance": importance, "replaces": ids})
        forget += [str(item["id"]) for item in group if len(ids) < 2 or str(item["id"]) not in ids]
    thinking = f"{len(items)} notes are in order: {len(summaries)} summaries, {len(forget)} dropped."
    return {"thinking": thinking, "summaries": summaries, "forget": forget[:40]}


def _merged(group: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """The words of the most important items as one text, and whose they are."""
    parts: list[str] = []
    ids: list[str] = []
    for item in sorted(group, key=lambda one: -int(one.get("importance") or 5)):
        text = str(item.get("text")).rstrip(".")
        if len("; ".join([*parts, text])) <= SUMMARY_CHARACTERS:
            parts.append(text)
            ids.append(str(item["id"]))
    return "; ".join(parts) + ".", ids
