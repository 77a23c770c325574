"""Composes one self-contained page out of the shell and the features built so far."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, unquote

from agents.simulated.dice import number, pick
from agents.simulated.library import CORE, Feature, page_file
from agents.simulated.project import Project

_MARK = re.compile(r"\{\{([a-z_0-9]+)\}\}")
_ABOUT = re.compile(
    r"<!-- simulated model; archetype=\w+; features=(?P<features>[\w,]*); defect=(?P<defect>\w*); "
    r"requests=(?P<requests>[\w%.~/]*) -->"
)
_LABEL = re.compile(r"<label for=\"[^\"]*\">(.*?)</label>")
_FONTS = (
    "system-ui, sans-serif",
    "Georgia, 'Times New Roman', serif",
    "'Trebuchet MS', 'Segoe UI', sans-serif",
    "ui-rounded, 'Nunito', system-ui, sans-serif",
    "ui-monospace, Menlo, Consolas, monospace",
)
_HEADERS = (
    "background: var(--accent); color: var(--on-accent);",
    "background: var(--warm); border-bottom: 4px solid var(--accent);",
    "text-align: center; border-bottom: 1px solid var(--line);",
    "border-left: .8rem solid var(--accent); background: var(--card);",
)
_GRIDS = (
    (44, "", ""),
    (64, "grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));", "grid-column: 1 / -1;"),
    (60, "grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); align-items: start;", ""),
    (50, "", "border: 2px solid var(--accent); box-shadow: 0 .6rem 1.6rem rgb(0 0 0 / .08);"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a page of the simulated model says about itself in its first comment."""

    features: tuple[str, ...] = ()
    defect: str | None = None
    requests: tuple[str, ...] = ()


def read_built(source: str) -> Built | None:
    """The notes in a page of ours, or None for a page somebody else wrote."""
    found = _ABOUT.search(source[:20_000])
    if found is None:
        return None
    requests = tuple(unquote(part) for part in found["requests"].split("/") if part)
    return Built(
        features=tuple(filter(None, found["features"].split(","))), defect=found["defect"] or None, requests=requests
    )


def compose(made: Project, built: Built, version: int) -> str:
    """The whole page. Everything that came from outside is escaped for the place it stands in."""
    features = [one for one in map(made.archetype.feature, built.features) if one is not None]
    abilities = [one.todo.rstrip(".") + "." for one in features]
    width, grid, lead = pick(_GRIDS, made.seed, "grid")
    hue = number(made.seed, "hue") % 360
    values = {
        "about": _about(made, built),
        "lang": "" if built.defect == "lang" else ' lang="en"',
        "head_title": "" if built.defect == "title" else f"<title>{escape(made.title)}</title>",
        "hue": str(hue),
        "hue2": str((hue + pick((30, 150, 180, 210, 330), made.seed, "hue2")) % 360),
        "radius": str(pick((2, 8, 14, 22), made.seed, "radius")),
        "font": pick(_FONTS, made.seed, "font"),
        "header": pick(_HEADERS, made.seed, "header"),
        "width": str(width),
        "grid": grid,
        "lead": lead,
        "body": ' class="dark"' if number(made.seed, "dark") % 4 == 0 else "",
        "version": str(version),
        "title": escape(made.title),
        "tagline": escape(_tagline(made)),
        "css": "\n".join(filter(None, (one.css for one in features))),
        "sections": "\n".join([*(_section(one, built) for one in features), *_requests(built)]),
        "abilities": "\n".join(f"<li>{escape(text)}</li>" for text in abilities),
        "data": _data(made, abilities),
        "scripts": "\n".join(f'<script>\n"use strict";\n(() => {{\n{one.js}\n}})();\n</script>' for one in features),
    }
    return _MARK.sub(lambda mark: values[mark[1]], page_file("shell.html")).strip()


def _about(made: Project, built: Built) -> str:
    requests = "/".join(quote(text, safe="").replace("-", "%2D") for text in built.requests)
    return (
        f"<!-- simulated model; archetype={made.archetype.name}; features={','.join(built.features)}; "
        f"defect={built.defect or ''}; requests={requests} -->"
    )


def _section(feature: Feature, built: Built) -> str:
    html = feature.html
    if built.defect == "label" and feature.id == CORE:
        html = _LABEL.sub(r"<b>\1</b>", html, count=1)
    return _card(feature.id, feature.title, html)


def _requests(built: Built) -> list[str]:
    if not built.requests:
        return []
    lines = "\n".join(f"<li>{escape(text)}</li>" for text in built.requests)
    return [_card("requests", "Heard from you", f"<ul>\n{lines}\n</ul>")]


def _card(name: str, title: str, html: str) -> str:
    heading = escape(title)
    return f'<section id="feature-{name}" aria-label="{heading}">\n<h2>{heading}</h2>\n{html}\n</section>'


def _tagline(made: Project) -> str:
    return made.description.split("\n")[0][:240] or pick(
        ("Small, quick and ready to try.", "One page, one purpose.", "Made in a hackathon, made to be used."), made.seed
    )


def _data(made: Project, abilities: list[str]) -> str:
    start = number(made.seed, "things") % len(made.pack.things)
    things = [*made.pack.things[start:], *made.pack.things[:start]]
    numbers = [1 + number(made.seed, "numbers", day) % 9 for day in range(6)]
    data = {"title": made.title, "things": things, "pairs": made.pack.pairs, "numbers": numbers, "abilities": abilities}
    text = json.dumps(data, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")
