"""Columns, predicates and orderings as SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from minibase.rest.plan.values import ColumnUse, EmbedIs, Junct, Matches, Predicate
from minibase.rest.query.spelling import literal, member
from minibase.rest.query.statement import Parameters, array_literal
from minibase.rest.request.values import Comparator, Compare, Is, OneOf, Search, SearchMode

_OPERATORS: Final = {
    Comparator.EQ: "=",
    Comparator.NEQ: "<>",
    Comparator.GT: ">",
    Comparator.GTE: ">=",
    Comparator.LT: "<",
    Comparator.LTE: "<=",
    Comparator.LIKE: "LIKE",
    Comparator.ILIKE: "ILIKE",
    Comparator.MATCH: "~",
    Comparator.IMATCH: "~*",
    Comparator.IS_DISTINCT: "IS DISTINCT FROM",
    Comparator.CONTAINS: "@>",
    Comparator.CONTAINED: "<@",
    Comparator.OVERLAPS: "&&",
    Comparator.LEFT_OF: "<<",
    Comparator.RIGHT_OF: ">>",
    Comparator.NOT_RIGHT_OF: "&<",
    Comparator.NOT_LEFT_OF: "&>",
    Comparator.ADJACENT: "-|-",
}
_SEARCHES: Final = {
    SearchMode.RAW: "to_tsquery",
    SearchMode.PLAIN: "plainto_tsquery",
    SearchMode.PHRASE: "phraseto_tsquery",
    SearchMode.WEB: "websearch_to_tsquery",
}
_PATTERNS: Final = frozenset({Comparator.LIKE, Comparator.ILIKE})


def spell_column(alias: str, column: ColumnUse) -> str:
    """A column, or the value at the end of its JSON path."""
    own = member(alias, column.name)
    if not column.path:
        return own
    steps = "".join(
        ("->>" if step.as_text else "->") + (str(step.key) if isinstance(step.key, int) else literal(step.key))
        for step in column.path
    )
    return f"(to_jsonb({own}){steps})" if column.wrap else f"({own}{steps})"


def spell_where(alias: str, predicates: Iterable[Predicate], parameters: Parameters) -> str:
    """` WHERE ...`, or nothing."""
    spelt = [spell_predicate(alias, each, parameters) for each in predicates]
    return f" WHERE {' AND '.join(spelt)}" if spelt else ""


def spell_predicate(alias: str, predicate: Predicate, parameters: Parameters) -> str:
    match predicate:
        case Matches(column=column, test=test, negated=negated):
            spelt = _spell_test(alias, column, test, parameters)
            return f"NOT ({spelt})" if negated else spelt
        case EmbedIs(alias=embed, present=present):
            return f"{embed}.j IS {'NOT ' if present else ''}NULL"
        case Junct(joiner=joiner, members=members, negated=negated):
            joined = f" {joiner.upper()} ".join(spell_predicate(alias, each, parameters) for each in members)
            return f"NOT ({joined})" if negated else f"({joined})"
        case _ as never:
            assert_never(never)


def _spell_test(alias: str, column: ColumnUse, test: Compare | OneOf | Is | Search, parameters: Parameters) -> str:
    own = spell_column(alias, column)
    match test:
        case Compare(comparator=comparator, value=value, quantifier=quantifier):
            given = parameters.add(value.replace("*", "%") if comparator in _PATTERNS else value)
            operand = f"{quantifier.upper()} ({given})" if quantifier else given
            return f"{own} {_OPERATORS[comparator]} {operand}"
        case OneOf(values=values):
            return f"{own} = ANY ({parameters.add(array_literal(values))})"
        case Is(word=word):
            return f"{own} IS {word.upper()}"
        case Search():
            return _spell_search(own, test, parameters, is_vector=column.is_vector and not column.path)
        case _ as never:
            assert_never(never)


def _spell_search(own: str, search: Search, parameters: Parameters, *, is_vector: bool) -> str:
    config = f"{parameters.add(search.config)}::regconfig, " if search.config else ""
    vector = own if is_vector else f"to_tsvector({config}{own})"
    return f"{vector} @@ {_SEARCHES[search.mode]}({config}{parameters.add(search.query)})"
