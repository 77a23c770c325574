"""What the database stage runs, and the collector of its parameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement and its untyped text parameters; Postgres finds their types from where they stand.

    It answers one row: total rows, rows on this page, body, response.headers, response.status, note. `note` is the
    new row's key for `Location`, or how many rows an upsert inserted. `estimate` is an EXPLAIN, where the total is to
    be guessed.
    """

    text: str
    parameters: tuple[bytes, ...]
    estimate: Statement | None = None


class Parameters:
    """Collects values and hands out their placeholders."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def add(self, value: str | bytes) -> str:
        """The placeholder that stands for `value`."""
        self.values.append(value if isinstance(value, bytes) else value.encode())
        return f"${len(self.values)}"


def array_literal(values: tuple[str, ...]) -> str:
    """An array as Postgres reads it from text; every element is quoted, so none can be taken for NULL."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
