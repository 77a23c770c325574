"""Planning function calls: which overload, and where its arguments come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minibase.rest.catalogue.values import Catalogue, Function, Name
from minibase.rest.errors import RestError, refuse
from minibase.rest.plan.nearest import nearest
from minibase.rest.plan.read import ReadScope, plan_read
from minibase.rest.plan.values import Answer, Arguments, CallPlan, FromObject, FromTexts, Given, WholeBody
from minibase.rest.request.conditions import parse_filter
from minibase.rest.request.fields import parse_field
from minibase.rest.request.parse import parse_shape
from minibase.rest.request.payload import read_arguments
from minibase.rest.request.values import OnFunction, Payload, Preferences, Request, ReturnMode, Window

_SHAPING = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict", "and", "or", "not.and", "not.or"})
_BODY_TYPES = {
    "application/json": ("json", "jsonb"),
    "text/plain": ("text",),
    "text/xml": ("xml",),
    "application/octet-stream": ("bytea",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callee:
    """What a path names: all functions of one name."""

    catalogue: Catalogue
    name: Name
    overloads: tuple[Function, ...]


def plan_call(catalogue: Catalogue, request: Request, target: OnFunction, max_rows: int | None) -> CallPlan:
    """Choose the overload and plan the shape of its rows.

    Raises RestError PGRST202 (no such function), 203 (several), 102 (body), 128 (max-affected), and those of reads.
    """
    name = Name(request.schema, target.name)
    callee = _Callee(catalogue=catalogue, name=name, overloads=catalogue.functions.get(name, ()))
    known = {parameter.name for overload in callee.overloads for parameter in overload.parameters}
    given, shaping = _split_pairs(request.pairs, known, by_get=target.by_get)
    function, arguments = _choose_by_texts(callee, given) if target.by_get else _choose_by_body(callee, request)
    shape = parse_shape(shaping)
    scope = ReadScope(catalogue=catalogue, shape=shape, max_rows=max_rows)
    relation = catalogue.relations.get(function.relation) if function.relation else None
    return CallPlan(
        function=function,
        arguments=arguments,
        read=plan_read(scope, Given(), relation) if function.returns == "row" else None,
        window=shape.windows.get((), Window()).capped(max_rows),
        answer=_answer(request),
        max_affected=_max_affected(request.preferences, function),
    )


def _answer(request: Request) -> Answer:
    preferences = request.preferences
    returns = preferences.returns or ReturnMode.REPRESENTATION
    return Answer(media=request.media, count=preferences.count, returns=returns, head=request.head)


def _max_affected(preferences: Preferences, function: Function) -> int | None:
    if not preferences.strict or preferences.max_affected is None:
        return None
    if not function.returns_set:
        raise refuse(
            400,
            "PGRST128",
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
        )
    return preferences.max_affected


def _split_pairs(
    pairs: Sequence[tuple[str, str]], names: set[str], *, by_get: bool
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Arguments and shaping parameters of the query string; a POST's query string only shapes."""
    if not by_get:
        return [], list(pairs)
    given: list[tuple[str, str]] = []
    shaping: list[tuple[str, str]] = []
    for key, value in pairs:
        is_argument = key in names or not (key in _SHAPING or "." in key or _reads_as_filter(key, value))
        (given if is_argument else shaping).append((key, value))
    return given, shaping


def _reads_as_filter(key: str, value: str) -> bool:
    try:
        parse_filter(parse_field(key), value)
    except RestError:
        return False
    return True


def _choose_by_texts(callee: _Callee, given: Sequence[tuple[str, str]]) -> tuple[Function, Arguments]:
    texts: dict[str, list[str]] = {}
    for key, value in given:
        texts.setdefault(key, []).append(value)
    function = _choose_named(callee, texts)
    # Of a parameter that is not variadic, the last one counts.
    values = tuple(
        (each, tuple(texts[each.name]) if each.variadic else (texts[each.name][-1],))
        for each in function.parameters
        if each.name in texts
    )
    return function, FromTexts(values=values)


def _choose_by_body(callee: _Callee, request: Request) -> tuple[Function, Arguments]:
    media = request.content_type.split(";", maxsplit=1)[0].strip().lower() or "application/json"
    whole = _taking_whole_body(callee.overloads, media)
    if media != "application/json":
        if whole is None:
            raise _not_found(callee, ())
        return whole, _whole_body(request.body, whole.parameters[0].type)
    payload = read_arguments(request.body)
    matches = (
        _matching(callee.overloads, payload.keys or ()) if payload.keys is not None and not payload.is_array else []
    )
    if not matches and whole is not None:
        return whole, WholeBody(text=payload.text, type=whole.parameters[0].type)
    names = _argument_names(payload)
    function = _choose_named(callee, names)
    wanted = set(names)
    parameters = tuple(each for each in function.parameters if each.name in wanted)
    return function, FromObject(text=payload.text, parameters=parameters)


def _whole_body(body: bytes, type_name: str) -> WholeBody:
    if b"\0" in body and type_name != "bytea":
        raise refuse(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return WholeBody(text=body, type=type_name)


def _argument_names(payload: Payload) -> tuple[str, ...]:
    if payload.keys is None or payload.is_array:
        raise refuse(400, "PGRST102", "The arguments of a function must be one JSON object")
    return payload.keys


def _taking_whole_body(overloads: Iterable[Function], media: str) -> Function | None:
    types = _BODY_TYPES.get(media, ())
    for each in overloads:
        if len(each.parameters) == 1 and not each.parameters[0].name and each.parameters[0].type in types:
            return each
    return None


def _choose_named(callee: _Callee, names: Iterable[str]) -> Function:
    given = tuple(names)
    matches = _matching(callee.overloads, given)
    if not matches:
        raise _not_found(callee, given)
    if len(matches) > 1:
        raise _ambiguous(matches)
    return matches[0]


def _matching(overloads: Iterable[Function], names: Iterable[str]) -> list[Function]:
    """Overloads that know every given name and miss none they need; an exact match beats one that needs defaults."""
    given = set(names)
    fitting = [
        each
        for each in overloads
        if given <= {parameter.name for parameter in each.parameters if parameter.name}
        and {parameter.name for parameter in each.parameters if parameter.required} <= given
    ]
    exact = [each for each in fitting if len(each.parameters) == len(given)]
    return exact or fitting


def _not_found(callee: _Callee, names: Sequence[str]) -> RestError:
    schema = callee.name.schema
    shown = f"{schema}.{callee.name.local}"
    listed = f"({', '.join(sorted(names))})" if names else ""
    kind = (
        f"with parameter{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}" if names else "without parameters"
    )
    known = [name.local for name in callee.catalogue.functions if name.schema == schema]
    like = nearest(callee.name.local, known)
    signature = _nearest_signature(callee.catalogue, Name(schema, like)) if like else ""
    return refuse(
        404,
        "PGRST202",
        f"Could not find the function {shown}{listed or ' without parameters'} in the schema cache",
        f"Searched for the function {shown} {kind}, but no matches were found in the schema cache.",
        hint=f"Perhaps you meant to call the function {schema}.{like}{signature}" if like else None,
    )


def _nearest_signature(catalogue: Catalogue, name: Name) -> str:
    names = ", ".join(parameter.name for parameter in catalogue.functions[name][0].parameters)
    return f"({names})" if names else ""


def _ambiguous(matches: Sequence[Function]) -> RestError:
    signatures = ", ".join(_signature(each) for each in matches)
    return refuse(
        300,
        "PGRST203",
        f"Could not choose the best candidate function between: {signatures}",
        hint="Try renaming the parameters or the function itself in the database"
        " so function overloading can be resolved",
    )


def _signature(function: Function) -> str:
    parameters = ", ".join(f"{each.name} => {each.type}" for each in function.parameters)
    return f"{function.name.schema}.{function.name.local}({parameters})"
