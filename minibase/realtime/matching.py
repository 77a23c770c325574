"""Which bindings a change matches. Pure: what only Postgres can decide is first collected as questions.

The bindings of one role and set of claims on one table are a `Plan`; sockets that asked for the same things under the
same topic and version are one cohort, for they receive the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from minibase.realtime import changes, filters
from minibase.realtime.bindings import Binding, Change
from minibase.realtime.changes import RowChange
from minibase.realtime.filters import Filter
from minibase.realtime.messages import Version
from minibase.realtime.pgoutput import Unchanged
from minibase.realtime.tables import Access, Rows, Table

Select = frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """What makes the frames of two channels equal."""

    topic: str
    version: Version
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A filter fitted to its column: `operands` are its values in the canonical text of the column's type."""

    filter: Filter
    sql_type: str
    operands: tuple[str | None, ...]
    in_postgres: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Does this value meet this condition? Only Postgres knows."""

    condition: Condition
    value: str | None


Answers = Mapping[Question, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One binding of a cohort that covers the table."""

    id: int
    kind: Change | None
    conditions: tuple[Condition, ...]
    select: Select


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything needed to decide the changes of one table for one role and set of claims."""

    table: Table
    access: Access
    routes: Mapping[Cohort, tuple[Route, ...]]

    def error(self, change: RowChange) -> str | None:
        """Why no subscriber of this role may be shown the change, where that is so."""
        if change.kind is Change.DELETE:
            return None
        if not self.table.key:
            return changes.NO_KEY
        return None if self.access.reads_key(self.table) else changes.UNAUTHORIZED

    def must_ask(self, change: RowChange) -> bool:
        return self.access.rows is Rows.ASK and change.kind is not Change.DELETE

    def hides(self, change: RowChange) -> bool:
        return self.access.rows is Rows.NONE and change.kind is not Change.DELETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A frame to make: the channels of this cohort hear of the change under these ids, with these columns."""

    cohort: Cohort
    ids: tuple[int, ...]
    select: Select


def questions(change: RowChange, plan: Plan) -> Iterator[Question]:
    """What Postgres must be asked before `match` can decide."""
    for routes in plan.routes.values():
        for route in routes:
            if route.kind in (None, change.kind):
                yield from _questions(change, route.conditions)


def _questions(change: RowChange, conditions: Sequence[Condition]) -> Iterator[Question]:
    for condition in conditions:
        value = change.tested(condition.filter.column)
        if condition.in_postgres and not isinstance(value, Unchanged):
            yield Question(condition=condition, value=value)


def match(change: RowChange, plan: Plan, answers: Answers) -> list[Hit]:
    """The frames a change makes, before row-level security."""
    skip_filters = plan.error(change) is not None
    decided: dict[tuple[Condition, ...], bool] = {(): True}
    hits: list[Hit] = []
    for cohort, routes in plan.routes.items():
        ids: dict[Select, list[int]] = {}
        for route in routes:
            if route.kind not in (None, change.kind):
                continue
            if route.conditions not in decided:
                decided[route.conditions] = skip_filters or _all_hold(change, route.conditions, answers)
            if decided[route.conditions] and route.id not in (known := ids.setdefault(route.select, [])):
                known.append(route.id)
        hits += [Hit(cohort=cohort, ids=tuple(found), select=select) for select, found in ids.items() if found]
    return hits


def _all_hold(change: RowChange, conditions: Sequence[Condition], answers: Answers) -> bool:
    return all(_holds(change, condition, answers) for condition in conditions)


def _holds(change: RowChange, condition: Condition, answers: Answers) -> bool:
    value = change.tested(condition.filter.column)
    if isinstance(value, Unchanged):
        return False  # not in the log, so nobody can tell: fail closed
    if condition.in_postgres:
        return answers[Question(condition=condition, value=value)]
    return filters.matches(condition.filter, value, condition.operands)
