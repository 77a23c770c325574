"""A cursor over a piece of query string, and the two tokens every grammar here shares: names and quoted text."""

from __future__ import annotations

import re

from minibase.rest.errors import RestError, unparsable

# Letters, digits, `_`, `$` and inner spaces; `-` too, unless it begins an arrow.
_NAME = re.compile(r"(?:[^\W]|\$|-(?!>))(?:[^\W]|[$ ]|-(?!>))*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Scanner:
    """Reads `text` from left to right; `what` names the construct in error messages."""

    __slots__ = ("position", "text", "what")

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.position)

    def accept(self, token: str) -> bool:
        """Step over `token` if it comes next."""
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.error(f'expecting "{token}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Step over what `pattern` matches here."""
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def skip_spaces(self) -> None:
        while not self.at_end and self.text[self.position].isspace():
            self.position += 1

    def quoted(self) -> str | None:
        """The text between double quotes, escapes resolved; None when no quote comes next."""
        found = self.match(_QUOTED)
        return _ESCAPE.sub(r"\1", found.group(1)) if found else None

    def name(self) -> str:
        """An identifier: bare or in double quotes."""
        self.skip_spaces()
        quoted = self.quoted()
        if quoted is not None:
            self.skip_spaces()
            return quoted
        found = self.match(_NAME)
        if not found:
            raise self.error("expecting field name (* or [a..z0..9_$])")
        return found.group().rstrip()

    def finish(self) -> None:
        """Everything must have been read."""
        self.skip_spaces()
        if not self.at_end:
            raise self.error("expecting end of input")

    def error(self, expectation: str) -> RestError:
        rest = self.text[self.position : self.position + 1]
        found = f"unexpected {rest!r}".replace("'", '"') if rest else "unexpected end of input"
        return unparsable(self.what, self.text, self.position, f"{found} {expectation}")
