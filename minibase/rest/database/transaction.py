"""One request, one transaction: the caller's role and claims, the statement, and the decision to keep it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from minibase.rest.database.connection import ROLLBACK, Connection, DatabaseError, Message, Row
from minibase.rest.query.spelling import literal
from minibase.rest.query.statement import Statement
from minibase.rest.response.outcome import Outcome

_BEGIN: Final = {True: Message("begin read only"), False: Message("begin read write")}
_COMMIT: Final = Message("commit")

Check = Callable[[Outcome], None]
"""Looks at the outcome before it is committed; raises RestError to have it rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the transaction knows of the request; every setting ends with it."""

    read_only: bool
    settings: Mapping[str, bytes]


async def run_transaction(
    connection: Connection, session: Session, statement: Statement, check: Check | None
) -> Outcome:
    """Run the statement as the caller. Without a `check`, everything including COMMIT is one message.

    Raises DatabaseError for whatever Postgres refuses, DatabaseAwayError when the connection breaks, and what
    `check` raises; the transaction is rolled back in each case.
    """
    messages = [_BEGIN[session.read_only], _apply(session.settings), Message(statement.text, statement.parameters)]
    if statement.estimate:
        messages.append(Message(statement.estimate.text, statement.estimate.parameters))
    if check is None:
        messages.append(_COMMIT)
    try:
        answers = await connection.run(messages)
    except DatabaseError:
        await connection.settle()
        raise
    outcome = _read_outcome(answers[2][0], answers[3][0] if statement.estimate else None)
    if check is not None:
        await _commit_checked(connection, outcome, check)
    return outcome


async def _commit_checked(connection: Connection, outcome: Outcome, check: Check) -> None:
    kept = False
    try:
        check(outcome)
        kept = True
    finally:
        if not kept:
            await connection.run([ROLLBACK])
    try:
        await connection.run([_COMMIT])
    except DatabaseError:
        await connection.settle()
        raise


def _apply(settings: Mapping[str, bytes]) -> Message:
    """One statement for all settings: it must be over before the next is planned, for policies depend on the role."""
    calls = ", ".join(f"set_config({literal(name)}, ${place}, true)" for place, name in enumerate(settings, 1))
    return Message(f"select {calls}", tuple(settings.values()))


def _read_outcome(row: Row, estimate: Row | None) -> Outcome:
    total, page, body, headers, status, note = row
    return Outcome(
        total=int(total) if total is not None else None,
        page=int(page or 0),
        body=body,
        headers=headers,
        status=status,
        note=note,
        estimate=_planned_rows(estimate) if estimate else None,
    )


def _planned_rows(estimate: Row) -> int:
    return int(orjson.loads(estimate[0] or b"")[0]["Plan"]["Plan Rows"])
