"""Chance without randomness: the same words always give the same choice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number(*salt: object) -> int:
    """A large number that depends on the salt alone."""
    digest = hashlib.blake2b("\x1f".join(map(str, salt)).encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def pick(options: Sequence[T], *salt: object) -> T:
    return options[number(*salt) % len(options)]


def shuffled(options: Sequence[T], *salt: object) -> list[T]:
    keyed = sorted(range(len(options)), key=lambda index: number(*salt, index))
    return [options[index] for index in keyed]
