"""The name a client probably meant, for hints."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# PostgREST hints only above about three quarters of likeness.
_LIKENESS = 0.75


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, or None when nothing is close."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=_LIKENESS)), None)
