"""The questions only Postgres can answer, asked as the subscriber: rows, filter values, conditions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from minibase.realtime import filters, statements
from minibase.realtime.bindings import Binding
from minibase.realtime.filters import PATTERN_OPERATORS, Filter, Operator
from minibase.realtime.matching import Answers, Condition, Question
from minibase.realtime.sessions import Identity, SessionPool
from minibase.realtime.tables import Access, MisfitError, Table, check_fit

KEPT_CONDITIONS = 4_096

Key = tuple[str, ...]


class Visibility:
    """Asks through a pool of sessions that can become any API role, and nothing more.

    Every method raises DatabaseUnavailableError when the server is gone.
    """

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self._conditions: dict[tuple[str, Filter], Condition] = {}

    async def rows_visible(
        self, identity: Identity, table: Table, keys: Sequence[Key]
    ) -> tuple[list[bool], str | None]:
        """Whether each row is visible, and what a policy raised, if one did.

        Rows whose policies raise are not visible; the others are asked one by one then, so that one bad row does not
        hide its neighbours. A policy that runs into the role's time limit hides them all.
        """
        try:
            return await self._ask_rows(identity, table, keys), None
        except asyncpg.PostgresError as error:
            if len(keys) == 1 or isinstance(error, asyncpg.QueryCanceledError):
                return [False] * len(keys), str(error)
        verdicts, raised = [], None
        for key in keys:
            visible, problem = await self.rows_visible(identity, table, [key])
            verdicts += visible
            raised = raised or problem
        return verdicts, raised

    async def _ask_rows(self, identity: Identity, table: Table, keys: Sequence[Key]) -> list[bool]:
        columns = [list(column) for column in zip(*keys, strict=True)]
        return list(await self._ask(identity, statements.rows_visible(table), *columns))

    async def _ask(self, identity: Identity, sql: str, *arguments: Any) -> Any:
        return await self._pool.ask(identity, lambda session: session.fetch_value(sql, *arguments))

    async def answer(
        self, identity: Identity, questions: Iterable[Question]
    ) -> tuple[Answers, Mapping[Condition, str]]:
        """Whether values meet conditions, and which conditions raised what: one that raises is met by no value."""
        values: dict[Condition, list[str | None]] = defaultdict(list)
        for question in questions:
            values[question.condition].append(question.value)
        answers: dict[Question, bool] = {}
        failed: dict[Condition, str] = {}
        for condition, given in values.items():
            sql = statements.conditions_met(condition)
            try:
                verdicts = list(await self._ask(identity, sql, given, list(condition.operands)))
            except asyncpg.PostgresError as error:
                verdicts = [False] * len(given)
                failed[condition] = str(error)
            for value, verdict in zip(given, verdicts, strict=True):
                answers[Question(condition=condition, value=value)] = verdict
        return answers, failed

    async def fit(self, identity: Identity, binding: Binding, table: Table, access: Access) -> tuple[Condition, ...]:
        """The binding's filters fitted to the table. MisfitError says why they cannot be."""
        check_fit(binding, table, access)
        return tuple([await self._condition(identity, each, table) for each in binding.filters])

    async def _condition(self, identity: Identity, wanted: Filter, table: Table) -> Condition:
        column = table.columns[wanted.column]
        known = self._conditions.get((column.sql_type, wanted))
        if known is not None:
            return known
        in_postgres = filters.needs_postgres(
            wanted, column.type_name, is_enum=column.is_enum, plain_collation=column.plain_collation
        )
        condition = Condition(
            filter=wanted,
            sql_type=column.sql_type,
            operands=await self._operands(identity, wanted, column.sql_type),
            in_postgres=in_postgres,
        )
        if in_postgres:
            await self._try(identity, condition)
        if len(self._conditions) >= KEPT_CONDITIONS:
            self._conditions.clear()
        self._conditions[column.sql_type, wanted] = condition
        return condition

    async def _operands(self, identity: Identity, wanted: Filter, sql_type: str) -> tuple[str | None, ...]:
        if wanted.operator is Operator.IS or wanted.operator in PATTERN_OPERATORS:
            return wanted.values
        try:
            return tuple(await self._ask(identity, statements.canonical(sql_type), list(wanted.values)) or ())
        except asyncpg.PostgresError as error:
            raise MisfitError(f"{wanted.column!r}: {error}") from error

    async def _try(self, identity: Identity, condition: Condition) -> None:
        """Make the comparison once: the type may lack the operator, the pattern may be broken."""
        is_pattern = condition.filter.operator in PATTERN_OPERATORS
        probe = "" if is_pattern else next((value for value in condition.operands if value is not None), None)
        try:
            await self._ask(identity, statements.conditions_met(condition), [probe], list(condition.operands))
        except asyncpg.PostgresError as error:
            raise MisfitError(f"{condition.filter.column!r}: {error}") from error
