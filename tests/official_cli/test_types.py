"""The committed types are those of the migrations, and rows over the API are what they say."""

from __future__ import annotations

from official_cli.types import generate


def test_the_committed_types_are_not_stale(migrated: str) -> None:
    for path, text in generate(migrated).items():
        assert path.read_text() == text, f"{path.name} is not what the migrations make: run scripts/types"
