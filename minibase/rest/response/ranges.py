"""`Content-Range` and what it means for the status."""

from __future__ import annotations

from minibase.rest.errors import RestError, refuse


def content_range(offset: int, page: int, total: int | None) -> str:
    """`first-last/total`; `*` where there are no rows or nobody counted."""
    rows = f"{offset}-{offset + page - 1}" if page else "*"
    return f"{rows}/{'*' if total is None else total}"


def range_status(offset: int, page: int, total: int | None) -> int:
    """206 where the page is known to be a part, else 200."""
    return 206 if total is not None and page < total else 200


def check_range(offset: int, total: int | None) -> None:
    """Raises RestError PGRST103 when the page begins beyond a known total; an empty set may be asked from 0."""
    if total is not None and offset and offset >= total:
        raise _beyond(offset, total)


def _beyond(offset: int, total: int) -> RestError:
    return refuse(
        416,
        "PGRST103",
        "Requested range not satisfiable",
        f"An offset of {offset} was requested, but there are only {total} rows.",
        headers={"Content-Range": f"*/{total}"},
    )
