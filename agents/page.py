"""Static checks of a page an agent wrote: one self-contained HTML file for a frame without network and storage.

Findings that ``block`` say that the page is broken or reaches out: the builder never publishes those. The others are
what a careful reviewer would say; the reviewer reports them as true facts, whatever the model thinks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from typing import Literal

from agents.script import read_script

MAX_BYTES = 200_000
Severity = Literal["critical", "major", "minor"]

_NETWORK = re.compile(
    r"\b(fetch\s*\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|RTCPeerConnection|WebTransport"
    r"|import\s*\(|import\b[^;]*\bfrom\b|import\s*\"\")"
)
_STORAGE = re.compile(r"\b(localStorage|sessionStorage|indexedDB|document\s*\.\s*cookie|caches\s*\.)")
_EXTERNAL = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_CSS_EXTERNAL = re.compile(r"@import\b|url\(\s*['\"]?\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ADDRESSES = frozenset(
    {"src", "href", "srcset", "action", "formaction", "poster", "data", "background", "ping", "xlink:href"}
)
_SCRIPT_TYPES = frozenset({"", "text/javascript", "application/javascript", "module"})
_UNLABELLED_TYPES = frozenset({"hidden", "submit", "button", "reset", "image"})
_WORD = re.compile(r"[a-z][a-z0-9]{3,}")
# A todo that names an issue of a review tells of the page, not to it: visitors need not find its words there.
_ISSUE = re.compile(r"\bv\d+:[a-z-]+:\d+\b")
_SMALL_CHANGE = """
about above accessible after again also another appear because been before being below build builder clear could does
done each every find first from have here into issue just keep label last later like lets make many more most much must
need next only other over page people please same shall should show shows simple some than that their them then there
these they thing this those todo until version very want well were what when where which while whole will with without
work works would your
"""
_STOP_WORDS = frozenset(_SMALL_CHANGE.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``code`` names the rule; ``text`` says what and where; ``blocks`` keeps the page from being published."""

    code: str
    severity: Severity
    text: str
    blocks: bool = False


# One review looks at the same page several times: asking, answering, and as the simulated model.
@lru_cache(maxsize=16)
def check(source: str, *, todo: str | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong with the page; with ``todo``, also whether its words appear in it. Never raises."""
    size = len(source.encode("utf-8", errors="replace"))
    if size > MAX_BYTES:
        return (_blocking("size", f"the page has {size} bytes, more than the {MAX_BYTES} a page may have"),)
    page = _Page()
    try:
        page.feed(source)
        page.close()
    except AssertionError as error:  # html.parser's answer to some malformed declarations
        return (_blocking("html", f"the page does not parse as HTML: {error}"),)
    if not {"html", "body"} & page.tags:
        return (_blocking("html", "this is not an HTML page: it has neither an html nor a body element"),)
    return (*_blockers(page), *_remarks(page), *_answers(page, todo))


def blockers(source: str) -> tuple[Finding, ...]:
    """Only what keeps the page from being published."""
    return tuple(finding for finding in check(source) if finding.blocks)


def keywords(text: str) -> frozenset[str]:
    """The words of a todo that its page should know: long enough, not of the small change of the language."""
    return frozenset(word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS)


@dataclass(slots=True)
class _Control:
    described: bool
    id: str | None
    text: str


@dataclass(slots=True)
class _Element:
    """The element whose raw text is being read."""

    tag: str
    kind: str
    parts: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Collects what the checks look at in one pass."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.lang: str | None = None
        self.title = ""
        self.viewport = False
        self.outside: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.controls: list[_Control] = []
        self.labelled_ids: set[str] = set()
        self.images_without_alt = 0
        self.words: list[str] = []
        self._open_labels = 0
        self._raw: _Element | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = {name: value or "" for name, value in attrs}
        self._note_addresses(tag, values)
        self.styles.append(values.get("style", ""))
        self.words.extend(values.get(name, "") for name in ("aria-label", "placeholder", "title", "value", "alt"))
        if tag == "html":
            self.lang = values.get("lang")
        elif tag == "meta":
            self.viewport = self.viewport or values.get("name", "").lower() == "viewport"
        elif tag == "label":
            self._open_labels += 1
            self.labelled_ids.add(values.get("for", ""))
        elif tag in ("input", "select", "textarea"):
            self._note_control(tag, values)
        elif tag == "img" and "alt" not in values:
            self.images_without_alt += 1
        elif tag in ("script", "style", "title"):
            self._raw = _Element(tag=tag, kind=values.get("type", "").strip().lower())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in ("label",):
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._open_labels = max(0, self._open_labels - 1)
        if self._raw is None or self._raw.tag != tag:
            return
        text = "".join(self._raw.parts)
        if tag == "style":
            self.styles.append(text)
        elif tag == "title":
            self.title = self.title or text.strip()
        elif self._raw.kind in _SCRIPT_TYPES:
            self.scripts.append(text)
        self._raw = None

    def handle_data(self, data: str) -> None:
        if self._raw is not None:
            self._raw.parts.append(data)
        self.words.append(data)

    def close(self) -> None:
        super().close()
        if self._raw is not None:
            self.outside.append(f"the {self._raw.tag} element is never closed")

    def _note_addresses(self, tag: str, values: dict[str, str]) -> None:
        for name in _ADDRESSES & values.keys():
            if _EXTERNAL.match(values[name]) or (tag in ("script", "link") and values[name].strip()):
                self.outside.append(f"{tag} {name}={values[name][:80]!r} leaves the page")
        if tag in ("base", "iframe", "object", "embed", "frame"):
            self.outside.append(f"a {tag} element is not allowed")
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.outside.append("a meta refresh is not allowed")

    def _note_control(self, tag: str, values: dict[str, str]) -> None:
        if tag == "input" and values.get("type", "").lower() in _UNLABELLED_TYPES:
            return
        described = any(values.get(name, "").strip() for name in ("aria-label", "aria-labelledby", "title"))
        name = values.get("id") or values.get("name") or values.get("placeholder") or tag
        described = described or self._open_labels > 0
        self.controls.append(_Control(described=described, id=values.get("id"), text=f"{tag} {name!r}"))


def _blocking(code: str, text: str) -> Finding:
    return Finding(code=code, severity="critical", text=text, blocks=True)


def _blockers(page: _Page) -> list[Finding]:
    found = [_blocking("self-contained", text) for text in page.outside[:5]]
    if any(_CSS_EXTERNAL.search(_CSS_COMMENT.sub("", style)) for style in page.styles):
        found.append(_blocking("self-contained", "a style imports or loads something from outside the page"))
    for number, text in enumerate(page.scripts, start=1):
        script = read_script(text)
        if script.problem:
            found.append(_blocking("script-syntax", f"script {number}, {script.problem}"))
        reach = _NETWORK.search(script.code)
        if reach:
            found.append(_blocking("network", f"script {number} uses the network: {reach.group()[:40]!r}"))
    return found


def _remarks(page: _Page) -> list[Finding]:
    found: list[Finding] = []
    if not page.title:
        found.append(Finding(code="title", severity="major", text="the page has no title"))
    if not (page.lang or "").strip():
        found.append(Finding(code="lang", severity="major", text="the html element has no lang attribute"))
    found.extend(
        Finding(code="input-label", severity="major", text=f"{control.text} has no label")
        for control in page.controls[:50]
        if not control.described and control.id not in page.labelled_ids
    )
    if any(_STORAGE.search(read_script(text).code) for text in page.scripts):
        text = "a script uses browser storage, which fails in the frame the page is shown in"
        found.append(Finding(code="storage", severity="major", text=text))
    if "form" in page.tags:
        text = "a form element: the frame the page is shown in blocks submissions before their event, use a button"
        found.append(Finding(code="form", severity="major", text=text))
    if "h1" not in page.tags:
        found.append(Finding(code="heading", severity="minor", text="the page has no main heading (h1)"))
    if not page.viewport:
        found.append(
            Finding(code="viewport", severity="minor", text="the page has no viewport meta element for phones")
        )
    if page.images_without_alt:
        text = f"{page.images_without_alt} images have no alt text"
        found.append(Finding(code="image-alt", severity="minor", text=text))
    return found


def _answers(page: _Page, todo: str | None) -> Sequence[Finding]:
    wanted = keywords(todo or "")
    if not wanted or _ISSUE.search(todo or ""):
        return ()
    known = {word[:5] for word in _WORD.findall(" ".join(page.words).lower())}
    missing = sorted(word for word in wanted if word[:5] not in known)
    if len(missing) * 3 <= len(wanted) * 2:
        return ()
    text = f"the page knows few words of its todo; missing: {', '.join(missing[:8])}"
    return (Finding(code="todo-words", severity="minor", text=text),)
