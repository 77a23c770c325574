"""Text from outside as the database takes it."""

from __future__ import annotations

import re

# Postgres stores no NUL, and half a surrogate pair, which JSON can spell but UTF-8 cannot, is no character at all.
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def plain_text(text: str) -> str:
    """The text with U+FFFD for everything that is not a storable character."""
    return _NO_CHARACTER.sub("\ufffd", text)
