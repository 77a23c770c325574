"""What the simulated team makes of an idea: always the same for the same stack and idea."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.simulated.dice import number, pick, shuffled
from agents.simulated.library import ARCHETYPES, Archetype, Feature, Pack, archetype, common, packs, words_of

DEFECTS = ("label", "lang", "title")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """``plan`` are the features to build, core first; ``defect`` is what the first build will forget, if anything."""

    seed: str
    title: str
    description: str
    archetype: Archetype
    plan: tuple[Feature, ...]
    pack: Pack
    defect: str | None


def project(context: Mapping[str, Any]) -> Project:
    """The project of a question's context; a stack without idea has its name for one."""
    stack, idea = context.get("stack") or {}, context.get("idea") or {}
    title = str(idea.get("title") or stack.get("name") or "A small page")
    description = str(idea.get("description") or "")
    seed = f"{stack.get('id')}/{title}"
    kind = _archetype(title, description, seed)
    extras = shuffled(common(), seed, "extras")[: 1 + number(seed, "extra") % 2]
    return Project(
        seed=seed,
        title=title,
        description=description,
        archetype=kind,
        plan=(*kind.features, *extras),
        pack=_pack(title, description),
        defect=pick(DEFECTS, seed, "which") if number(seed, "defect") % 4 == 0 else None,
    )


def feature_for(made: Project, text: str) -> Feature | None:
    """The feature a todo or wish means: the one it was written from, else the one most of whose words it shares."""
    known = {one.id: one for one in (*made.archetype.features, *common())}
    for one in known.values():
        if one.todo in text:
            return one
    words = set(words_of(text))
    scores = {one.id: len(words & one.words) for one in known.values()}
    best = max(scores, key=lambda feature_id: scores[feature_id])
    return known[best] if scores[best] >= 1 else None


def _archetype(title: str, description: str, seed: str) -> Archetype:
    in_title, in_text = set(words_of(title)), set(words_of(description))
    scores = {
        name: 3 * len(archetype(name).words & in_title) + len(archetype(name).words & in_text) for name in ARCHETYPES
    }
    best = max(ARCHETYPES, key=lambda name: scores[name])
    return archetype(best if scores[best] else pick(ARCHETYPES, seed, "archetype"))


def _pack(title: str, description: str) -> Pack:
    words = set(words_of(f"{title} {description}"))
    return max(packs(), key=lambda pack: (len(pack.words & words), not pack.words))
