"""Reads of one shape are planned once.

Programs send the same few shapes with different values. The key of a shape is the request with the operands of plain
comparisons taken out; its template is made by planning the request with marks in their place and finding the marks
among the statement's parameters. Anything else about a request is part of the key, so a template can never be taken
for another shape, and a request that cannot be planned is never remembered.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from minibase.rest.catalogue.values import Catalogue
from minibase.rest.plan.request import plan_request
from minibase.rest.plan.values import Plan
from minibase.rest.query.plan import spell_plan
from minibase.rest.query.statement import Statement
from minibase.rest.request.values import OnRelation, Request, Verb

TEMPLATES: Final = 512
# Longer query strings are rare, and their keys would only fill the memory.
LONGEST_QUERY: Final = 2_048
_PLAIN: Final = re.compile(r"(?:eq|neq|gt|gte|lt|lte)\.")
_NOT_FILTERS: Final = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
# A character that no program sends; a request that holds it is simply planned for itself.
_MARK: Final = "\x01"


@dataclass(frozen=True, slots=True)
class _Template:
    plan: Plan
    statement: Statement
    places: tuple[int | None, ...]
    """For each parameter, which of the request's values goes there; None where the template's own stays."""

    def filled(self, values: list[str]) -> Statement:
        own = self.statement.parameters
        parameters = tuple(
            own[index] if place is None else values[place].encode() for index, place in enumerate(self.places)
        )
        return Statement(text=self.statement.text, parameters=parameters)


class Planner:
    """Plans requests against one snapshot of the catalogue, remembering the shapes of reads."""

    def __init__(self, catalogue: Catalogue, max_rows: int | None) -> None:
        self.catalogue = catalogue
        self._max_rows = max_rows
        self._templates: dict[Hashable, _Template] = {}

    def plan(self, request: Request) -> tuple[Plan, Statement]:
        """The plan and its statement. Raises RestError as plan_request does."""
        if not _may_share(request):
            return self._plan_afresh(request)
        shape, values = _take_apart(request.pairs)
        key = (request.target, request.method, request.schema, request.preferences, request.media, request.range, shape)
        template = self._templates.get(key)
        if template is None:
            # The request itself first: if it is refused, the refusal must show its own values.
            planned = self._plan_afresh(request)
            self._remember(key, self._make_template(request, shape))
            return planned
        return template.plan, template.filled(values)

    def _plan_afresh(self, request: Request) -> tuple[Plan, Statement]:
        plan = plan_request(self.catalogue, request, max_rows=self._max_rows)
        return plan, spell_plan(plan, self._max_rows)

    def _make_template(self, request: Request, shape: tuple[tuple[str, str], ...]) -> _Template:
        marks: dict[bytes, int] = {}
        pairs: list[tuple[str, str]] = []
        for key, text in shape:
            if text.endswith(_MARK):
                mark = f"{_MARK}{len(marks)}"
                marks[mark.encode()] = len(marks)
                pairs.append((key, text[:-1] + mark))
            else:
                pairs.append((key, text))
        plan, statement = self._plan_afresh(replace(request, pairs=tuple(pairs)))
        return _Template(plan, statement, tuple(marks.get(each) for each in statement.parameters))

    def _remember(self, key: Hashable, template: _Template) -> None:
        if len(self._templates) >= TEMPLATES:
            del self._templates[next(iter(self._templates))]
        self._templates[key] = template


def _may_share(request: Request) -> bool:
    """Only plain reads of moderate length; a planned count brings a second statement with parameters of its own."""
    if not isinstance(request.target, OnRelation) or request.target.verb is not Verb.READ:
        return False
    if request.preferences.count not in (None, "exact"):
        return False
    length = 0
    for key, value in request.pairs:
        length += len(key) + len(value)
        if _MARK in value or _MARK in key:
            return False
    return length <= LONGEST_QUERY


def _take_apart(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """The pairs with a mark for each plain operand, and the operands."""
    shape: list[tuple[str, str]] = []
    values: list[str] = []
    for key, value in pairs:
        plain = None if key in _NOT_FILTERS else _PLAIN.match(value)
        if plain:
            shape.append((key, value[: plain.end()] + _MARK))
            values.append(value[plain.end() :])
        else:
            shape.append((key, value))
    return tuple(shape), values
