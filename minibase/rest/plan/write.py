"""Planning changes: insert, upsert, update, delete and PUT."""

from __future__ import annotations

from dataclasses import replace

import orjson

from minibase.rest.catalogue.values import Catalogue, Column, Relation
from minibase.rest.errors import RestError, refuse
from minibase.rest.plan.read import ReadScope, needed_columns, plan_condition, plan_read
from minibase.rest.plan.values import (
    Answer,
    Change,
    Conflict,
    Delete,
    Document,
    Given,
    Insert,
    Junct,
    Predicate,
    Update,
    WritePlan,
)
from minibase.rest.request.payload import read_payload
from minibase.rest.request.values import (
    Comparator,
    Compare,
    Condition,
    ConditionTree,
    Payload,
    Preferences,
    Request,
    Resolution,
    ReturnMode,
    Shape,
    Verb,
)

# The changed relation's alias; embeds of the answer count from t0.
_TARGET = "target"


def plan_write(catalogue: Catalogue, request: Request, relation: Relation, verb: Verb, shape: Shape) -> WritePlan:
    """Plan a change of `relation` and the rows it answers with.

    Raises RestError PGRST102 and 204 for the body, 105, 114, 115 for PUT, and 21000 for a change without a filter.
    """
    change = _plan_change(request, relation, verb, shape)
    answer = _answer(request)
    read = None
    returning: tuple[str, ...] = ()
    if answer.returns is ReturnMode.REPRESENTATION:
        scope = ReadScope(catalogue=catalogue, shape=_shape_of_answer(shape, verb), max_rows=None)
        read = plan_read(scope, Given(), relation, capped=False)
        returning = needed_columns(read)
    elif answer.returns is ReturnMode.HEADERS:
        returning = relation.primary_key
    return WritePlan(
        relation=relation,
        change=change,
        returning=returning,
        read=read,
        answer=answer,
        max_affected=_max_affected(request.preferences, verb),
    )


def _answer(request: Request) -> Answer:
    preferences = request.preferences
    returns = preferences.returns or ReturnMode.MINIMAL
    return Answer(media=request.media, count=preferences.count, returns=returns)


def _shape_of_answer(shape: Shape, verb: Verb) -> Shape:
    """The changed rows were picked already: filters and windows of the relation itself do not apply twice."""
    below = tuple((at, tree) for at, tree in shape.conditions if at)
    windows = {at: window for at, window in shape.windows.items() if at or verb is Verb.INSERT}
    return replace(shape, conditions=below, windows=windows)


def _max_affected(preferences: Preferences, verb: Verb) -> int | None:
    limited = preferences.strict and verb in (Verb.UPDATE, Verb.DELETE)
    return preferences.max_affected if limited else None


def _plan_change(request: Request, relation: Relation, verb: Verb, shape: Shape) -> Change:
    own = tuple(tree for at, tree in shape.conditions if not at)
    match verb:
        case Verb.UPDATE:
            document = _document(request, relation, shape)
            where = _where(relation, own, "UPDATE") if document.columns else ()
            return Update(document=document, where=where, alias=_TARGET)
        case Verb.DELETE:
            return Delete(where=_where(relation, own, "DELETE"), alias=_TARGET)
        case Verb.REPLACE:
            return _plan_replace(request, relation, shape, own)
        case _:
            return Insert(document=_document(request, relation, shape), conflict=_conflict(request, relation, shape))


def _where(relation: Relation, trees: tuple[ConditionTree, ...], statement: str) -> tuple[Predicate, ...]:
    if not trees:
        # Hosted Supabase loads safeupdate for the API's login role; this is its refusal.
        raise refuse(400, "21000", f"{statement} requires a WHERE clause")
    return tuple(_predicate(relation, tree) for tree in trees)


def _predicate(relation: Relation, tree: ConditionTree) -> Predicate:
    if isinstance(tree, Condition):
        return plan_condition(relation, tree)
    members = tuple(_predicate(relation, member) for member in tree.members)
    return Junct(joiner=tree.joiner, members=members, negated=tree.negated)


def _document(request: Request, relation: Relation, shape: Shape) -> Document:
    payload = read_payload(request.body, request.content_type)
    if payload.keys is None:
        raise refuse(400, "PGRST102", "Empty or invalid json")
    return Document(
        text=payload.text,
        is_array=payload.is_array,
        columns=tuple(_column(relation, name) for name in _named_columns(payload, shape)),
        with_defaults=bool(request.preferences.missing_default),
    )


def _named_columns(payload: Payload, shape: Shape) -> tuple[str, ...]:
    if shape.columns is not None:
        return shape.columns
    if not payload.uniform:
        raise refuse(400, "PGRST102", "All object keys must match")
    return payload.keys or ()


def _column(relation: Relation, name: str) -> Column:
    column = relation.columns.get(name)
    if column is None:
        raise refuse(
            400, "PGRST204", f"Could not find the '{name}' column of '{relation.name.local}' in the schema cache"
        )
    return column


def _conflict(request: Request, relation: Relation, shape: Shape) -> Conflict | None:
    resolution = request.preferences.resolution
    target = shape.on_conflict or relation.primary_key
    if resolution is None or not target:
        return None
    return Conflict(resolution=resolution, target=target)


def _plan_replace(request: Request, relation: Relation, shape: Shape, own: tuple[ConditionTree, ...]) -> Insert:
    if shape.windows:
        raise refuse(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    wanted = _key_of(relation, own)
    document = _document(request, relation, shape)
    _check_body_key(document, wanted)
    return Insert(
        document=document,
        conflict=Conflict(resolution=Resolution.MERGE, target=relation.primary_key),
    )


def _key_of(relation: Relation, own: tuple[ConditionTree, ...]) -> dict[str, str]:
    key: dict[str, str] = {}
    for tree in own:
        match tree:
            case Condition(test=Compare(comparator=Comparator.EQ, quantifier=None, value=value), negated=False):
                key[tree.field.name] = value
            case _:
                raise _bad_put_filters()
    if not relation.primary_key or key.keys() != set(relation.primary_key) or len(own) != len(key):
        raise _bad_put_filters()
    return key


def _bad_put_filters() -> RestError:
    return refuse(
        405,
        "PGRST105",
        "Filters must include all and only primary key columns with 'eq' operators",
    )


def _check_body_key(document: Document, wanted: dict[str, str]) -> None:
    """PUT names one row twice, in the URL and in the body; they must agree."""
    body = orjson.loads(document.text)
    rows = body if document.is_array else [body]
    if len(rows) != 1 or any(_as_text(rows[0].get(name)) != value for name, value in wanted.items()):
        raise refuse(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
