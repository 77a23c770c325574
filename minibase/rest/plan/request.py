"""The door of this stage: a request and a catalogue become a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from minibase.rest.catalogue.values import Catalogue, Name, Relation
from minibase.rest.errors import refuse
from minibase.rest.plan.call import plan_call
from minibase.rest.plan.nearest import nearest
from minibase.rest.plan.read import ReadScope, plan_read
from minibase.rest.plan.values import Answer, CallPlan, Plan, ReadPlan, Stored
from minibase.rest.plan.write import plan_write
from minibase.rest.request.parse import parse_shape
from minibase.rest.request.values import MediaKind, OnFunction, OnRelation, Request, ReturnMode, Shape, Verb, Window

# Bodies that hold one value and nothing around it.
_BARE_MEDIA = frozenset({MediaKind.TEXT, MediaKind.OCTETS})


def plan_request(catalogue: Catalogue, request: Request, *, max_rows: int | None) -> Plan:
    """Resolve everything the request names.

    Raises RestError: PGRST205 for an unknown relation, 107 for a media type the result cannot take, and those of
    reads, writes and calls.
    """
    plan = _plan_target(catalogue, request, max_rows)
    if request.media.kind in _BARE_MEDIA and not (isinstance(plan, CallPlan) and plan.function.returns == "scalar"):
        raise refuse(406, "PGRST107", f"None of these media types are available: {request.media.kind.value}")
    return plan


def _plan_target(catalogue: Catalogue, request: Request, max_rows: int | None) -> Plan:
    match request.target:
        case OnFunction() as target:
            return plan_call(catalogue, request, target, max_rows)
        case OnRelation(verb=Verb.READ, name=name):
            return _plan_read(catalogue, request, find_relation(catalogue, request.schema, name), max_rows)
        case OnRelation(verb=verb, name=name):
            relation = find_relation(catalogue, request.schema, name)
            return plan_write(catalogue, request, relation, verb, parse_shape(request.pairs))
        case _ as never:
            assert_never(never)


def find_relation(catalogue: Catalogue, schema: str, local: str) -> Relation:
    """The relation a path names. Raises RestError PGRST205."""
    relation = catalogue.relations.get(Name(schema, local))
    if relation is not None:
        return relation
    like = nearest(local, (name.local for name in catalogue.relations if name.schema == schema))
    raise refuse(
        404,
        "PGRST205",
        f"Could not find the table '{schema}.{local}' in the schema cache",
        hint=f"Perhaps you meant the table '{schema}.{like}'" if like else None,
    )


def _plan_read(catalogue: Catalogue, request: Request, relation: Relation, max_rows: int | None) -> ReadPlan:
    shape = _narrowed(parse_shape(request.pairs), request.range)
    scope = ReadScope(catalogue=catalogue, shape=shape, max_rows=max_rows)
    return ReadPlan(
        read=plan_read(scope, Stored(relation.name), relation),
        answer=Answer(
            media=request.media,
            count=request.preferences.count,
            returns=ReturnMode.REPRESENTATION,
            head=request.head,
        ),
        max_rows=max_rows,
    )


def _narrowed(shape: Shape, header: Window | None) -> Shape:
    """The query string's window and the `Range` header's meet: only rows in both."""
    if header is None:
        return shape
    own = shape.windows.get((), Window())
    offset = max(own.offset, header.offset)
    ends = [window.offset + window.limit for window in (own, header) if window.limit is not None]
    limit = max(min(ends) - offset, 0) if ends else None
    return replace(shape, windows={**shape.windows, (): Window(offset=offset, limit=limit)})
