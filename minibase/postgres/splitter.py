"""Cuts a SQL file into statements, where PostgreSQL's own scanner would.

A semicolon ends a statement unless it stands in a string, a quoted name, a dollar-quoted body, a comment, parentheses,
or a `begin atomic ... end` body. Lexical rules: PostgreSQL manual, "Lexical Structure", with
standard_conforming_strings on. Something left open at the end of the file runs to the end: reporting it is
PostgreSQL's job, which does it better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>    [ \t\r\n\f\v]+ )
    | (?P<comment>  --[^\n]* )
    | (?P<block>    /\* )
    | (?P<escaped>  [eE]'(?:[^'\\]|\\.|'')*+'? )
    | (?P<string>   '[^']*+(?:''[^']*+)*+'? )
    | (?P<name>     "[^"]*+(?:""[^"]*+)*+"? )
    | (?P<dollar>   \$(?:[A-Za-z_\x80-\U0010FFFF][A-Za-z0-9_\x80-\U0010FFFF]*)?\$ )
    | (?P<word>     [A-Za-z_\x80-\U0010FFFF][A-Za-z0-9_$\x80-\U0010FFFF]* )
    | (?P<number>   [0-9][A-Za-z0-9_.]* )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_BLANK = frozenset({"space", "comment", "block"})
_WORDS_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement without its semicolon; comments in front of it belong to it."""

    sql: str
    line: int
    """Line of the file on which `sql` begins, counted from 1."""
    words: tuple[str, ...]
    """The first unquoted words in lower case, comments left out: enough to tell what kind of statement it is."""

    def line_at(self, position: int) -> int:
        """The file's line of the character that PostgreSQL calls `position` (counted from 1) in `sql`."""
        return self.line + self.sql.count("\n", 0, position - 1)


@dataclass(slots=True)
class _Nesting:
    """What keeps a semicolon from ending the statement, and the words seen so far."""

    words: list[str]
    last: str = ""
    parentheses: int = 0
    bodies: int = 0

    def see_word(self, word: str) -> None:
        if len(self.words) < _WORDS_KEPT:
            self.words.append(word)
        if (word == "atomic" and self.last == "begin") or (self.bodies and word == "case"):
            self.bodies += 1
        elif self.bodies and word == "end":
            self.bodies -= 1
        self.last = word

    def see_other(self, character: str) -> None:
        if character == "(":
            self.parentheses += 1
        elif character == ")":
            self.parentheses = max(0, self.parentheses - 1)
        self.last = ""


def split_statements(sql: str) -> tuple[Statement, ...]:
    """The statements of a file in order; stretches of nothing but comments and white space are left out."""
    statements: list[Statement] = []
    start, filled, nesting = 0, False, _Nesting([])
    for kind, begin, end in _tokens(sql):
        if kind == "other" and sql[begin] == ";" and not nesting.parentheses and not nesting.bodies:
            if filled:
                statements.append(_cut(sql, start, begin, nesting))
            start, filled, nesting = end, False, _Nesting([])
            continue
        filled = filled or kind not in _BLANK
        if kind == "word":
            nesting.see_word(sql[begin:end].lower())
        elif kind not in _BLANK:
            nesting.see_other(sql[begin:end])
    if filled:
        statements.append(_cut(sql, start, len(sql), nesting))
    return tuple(statements)


def _tokens(sql: str) -> Iterator[tuple[str, int, int]]:
    position = 0
    while match := _TOKEN.match(sql, position):
        kind, end = str(match.lastgroup), match.end()
        if kind == "block":
            end = _end_of_block_comment(sql, end)
        elif kind == "dollar":
            closing = sql.find(match.group(), end)
            end = len(sql) if closing < 0 else closing + len(match.group())
        yield kind, position, end
        position = end


def _end_of_block_comment(sql: str, position: int) -> int:
    """Block comments nest in PostgreSQL."""
    depth = 1
    for edge in _BLOCK_EDGE.finditer(sql, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def _cut(sql: str, start: int, end: int, nesting: _Nesting) -> Statement:
    text = sql[start:end]
    start += len(text) - len(text.lstrip())
    return Statement(sql=text.strip(), line=1 + sql.count("\n", 0, start), words=tuple(nesting.words))
