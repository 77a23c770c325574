"""Text of agents and visitors on its way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text without control characters: what agents and visitors wrote must not drive the terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
