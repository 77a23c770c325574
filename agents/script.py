"""A sanity check of JavaScript without a JavaScript engine: brackets, strings, template literals, regular expressions.

Not a parser. It walks the text once, knows which characters are code and which are inside a literal or a comment, and
reports the first thing that can never be right. What it lets through may still be wrong; what it refuses is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PAIRS = {")": "(", "]": "[", "}": "{"}
_WORD = re.compile(r"[\w$]+")
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+/[a-z]*")
_BEFORE_REGEX = frozenset("(,=:[!&|?{;+-*%<>~^")
_WORDS_BEFORE_REGEX = frozenset(
    ("return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "yield", "await")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``problem`` is a sentence or None; ``code`` is the text with literals and comments blanked out."""

    problem: str | None
    code: str


class _UnfinishedError(Exception):
    """Something opened and never closed; ``at`` is where it began."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.what, self.at = what, at


def read_script(text: str) -> Script:
    """Checks one inline script."""
    code: list[str] = []
    try:
        problem = _walk(text, code)
    except _UnfinishedError as unfinished:
        problem = f"line {_line(text, unfinished.at)}: {unfinished.what} is never closed"
    return Script(problem=problem, code="".join(code))


def _walk(text: str, code: list[str]) -> str | None:
    opened: list[tuple[str, int]] = []
    last = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            code.append(char)
            at += 1
            continue
        word = _WORD.match(text, at)
        if word:
            last = word.group()
            code.append(last)
            at = word.end()
            continue
        end = _literal(text, at, last)
        if end is not None:
            comment = text.startswith(("//", "/*"), at)
            code.append(" " if comment else '""')
            last = last if comment else "literal"
            at = end
            continue
        if char == "`" or (char == "}" and opened and opened[-1][0] == "`{"):
            if char == "}":
                opened.pop()
            inside = _template(text, at, opened)
            code.append("`")
            at, last = inside, ("literal" if text[inside - 1] == "`" else "{")
            continue
        problem = _bracket(text, char, at, opened)
        if problem:
            return problem
        code.append(char)
        last = char
        at += 1
    if opened:
        what, where = opened[-1]
        return f"line {_line(text, where)}: '{what[-1]}' is never closed"
    return None


def _bracket(text: str, char: str, at: int, opened: list[tuple[str, int]]) -> str | None:
    if char in "([{":
        opened.append((char, at))
    elif char in PAIRS:
        if not opened or opened[-1][0] != PAIRS[char]:
            return f"line {_line(text, at)}: '{char}' closes nothing"
        opened.pop()
    return None


def _literal(text: str, at: int, last: str) -> int | None:
    """The end of the comment, string or regular expression that begins here, or None."""
    if text.startswith("//", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        end = text.find("*/", at + 2)
        if end < 0:
            raise _UnfinishedError("a comment", at)
        return end + 2
    if text[at] in "'\"":
        return _string(text, at)
    if text[at] == "/" and (not last or last in _BEFORE_REGEX or last in _WORDS_BEFORE_REGEX):
        regex = _REGEX.match(text, at)
        return regex.end() if regex else None
    return None


def _string(text: str, start: int) -> int:
    quote, at = text[start], start + 1
    while at < len(text) and text[at] != "\n":
        if text[at] == quote:
            return at + 1
        at += 2 if text[at] == "\\" else 1
    raise _UnfinishedError("a string", start)


def _template(text: str, start: int, opened: list[tuple[str, int]]) -> int:
    """From a backtick, or the brace that ends an expression, to the closing backtick or past the next ``${``."""
    at = start + 1
    while at < len(text):
        if text[at] == "`":
            return at + 1
        if text.startswith("${", at):
            opened.append(("`{", at))
            return at + 2
        at += 2 if text[at] == "\\" else 1
    raise _UnfinishedError("a template literal", start)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
