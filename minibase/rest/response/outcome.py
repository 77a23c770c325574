"""The row a statement answers with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`page`: rows in the answer or changed; `total`: rows there would be without the window, where asked for.

    `headers` and `status` are what the database set for the response; `note` is explained in query.statement.
    """

    total: int | None
    page: int
    body: bytes | None
    headers: bytes | None
    status: bytes | None
    note: bytes | None
    estimate: int | None = None
