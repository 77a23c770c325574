"""The archetypes of pages, read from the files beside this module.

A ``.page`` file is a line ``words: ...`` (what an idea says that means this archetype) and features, each a heading
``=== id | title | words | todo`` with sections ``--- html``, ``--- css`` and ``--- js``. The first feature is the core
the others build upon; ``common.page`` holds features every page can have.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ARCHETYPES = (
    *("timer", "flashcards", "converter", "quiz", "tracker", "calculator"),
    *("board", "drawing", "notes", "list"),
)
CORE = "core"
_WORD = re.compile(r"[a-z]+")
_HEADING = re.compile(r"^=== ", re.MULTILINE)
_SECTION = re.compile(r"^--- (html|css|js)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    id: str
    title: str
    words: frozenset[str]
    todo: str
    html: str
    css: str
    js: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Archetype:
    name: str
    words: frozenset[str]
    features: tuple[Feature, ...]

    def feature(self, feature_id: str) -> Feature | None:
        return next((one for one in (*self.features, *common()) if one.id == feature_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Words for the content of a page: things to do or have, and pairs that belong together."""

    words: frozenset[str]
    things: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@cache
def page_file(name: str) -> str:
    return files(__package__).joinpath("pages", name).read_text(encoding="utf-8")


@cache
def archetype(name: str) -> Archetype:
    head, *blocks = _HEADING.split(page_file(f"{name}.page"))
    return Archetype(
        name=name,
        words=frozenset(words_of(head.removeprefix("words:"))),
        features=tuple(_feature(block) for block in blocks),
    )


@cache
def common() -> tuple[Feature, ...]:
    return tuple(_feature(block) for block in _HEADING.split(page_file("common.page"))[1:])


@cache
def packs() -> tuple[Pack, ...]:
    return tuple(
        Pack(
            words=frozenset(raw["words"]),
            things=tuple(raw["things"]),
            pairs=tuple((left, right) for left, right in raw["pairs"]),
        )
        for raw in json.loads(page_file("packs.json"))
    )


def _feature(block: str) -> Feature:
    heading, _, body = block.partition("\n")
    feature_id, title, words, todo = (part.strip() for part in heading.split("|"))
    parts = _SECTION.split(body)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    html, css, js = (sections.get(kind, "").strip() for kind in ("html", "css", "js"))
    found = frozenset(words_of(words))
    return Feature(id=feature_id, title=title, words=found, todo=todo, html=html, css=css, js=js)
