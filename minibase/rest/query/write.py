"""Changes as SQL: a data-modifying CTE, and the answer read from what it returned."""

from __future__ import annotations

from typing import assert_never

from minibase.rest.catalogue.values import Column, Name
from minibase.rest.plan.values import Conflict, Delete, Document, Insert, Update, WritePlan
from minibase.rest.query.conditions import spell_where
from minibase.rest.query.envelope import NO_NOTE, spell_envelope
from minibase.rest.query.read import GIVEN, spell_rows
from minibase.rest.query.spelling import identifier, literal, member, qualified
from minibase.rest.query.statement import Parameters, Statement
from minibase.rest.request.values import Resolution, ReturnMode

_TARGET = "target"
_INSERTED = "coalesce(nullif(current_setting('pgrst.inserted', true), '')::int, 0)"


def spell_write(plan: WritePlan) -> Statement:
    """Spell a change and its answer."""
    parameters = Parameters()
    change = _spell_change(plan, parameters)
    rows = spell_rows(plan.read, parameters) if plan.read else f"SELECT * FROM {GIVEN}"
    total = "count(*)" if plan.answer.count else "NULL"
    if plan.read and plan.answer.media.kind == "text/csv":
        total = "s.page" if plan.answer.count else "NULL"
    outer = spell_envelope(rows, plan.answer, total=total, note=_spell_note(plan))
    return Statement(text=f"WITH {GIVEN} AS ({change}) {outer}", parameters=tuple(parameters.values))


def _spell_note(plan: WritePlan) -> str:
    if plan.answer.returns is ReturnMode.HEADERS and plan.relation.primary_key:
        texts = ", ".join(f"r.{identifier(name)}::text" for name in plan.relation.primary_key)
        return f"(json_agg(json_build_array({texts}))->0)::text"
    if isinstance(plan.change, Insert) and plan.change.conflict:
        return "nullif(current_setting('pgrst.inserted', true), '')"
    return NO_NOTE


def _spell_change(plan: WritePlan, parameters: Parameters) -> str:
    name = plan.relation.name
    returning = _spell_returning(plan.returning)
    match plan.change:
        case Insert(document=document, conflict=conflict):
            return _spell_insert(name, document, conflict, parameters) + returning
        case Update(document=document, where=where, alias=alias):
            if not document.columns:
                return f"SELECT {_list_columns(alias, plan.returning)} FROM {qualified(name)} AS {alias} WHERE false"
            rows = _spell_document(document, parameters)
            changes = ", ".join(f"{identifier(each.name)} = b.{identifier(each.name)}" for each in document.columns)
            condition = spell_where(alias, where, parameters)
            source = f"(SELECT * FROM {rows} LIMIT 1) b"
            return f"UPDATE {qualified(name)} AS {alias} SET {changes} FROM {source}{condition}{returning}"
        case Delete(where=where, alias=alias):
            return f"DELETE FROM {qualified(name)} AS {alias}{spell_where(alias, where, parameters)}{returning}"
        case _ as never:
            assert_never(never)


def _spell_returning(columns: tuple[str, ...]) -> str:
    return f" RETURNING {_list_columns(_TARGET, columns)}"


def _list_columns(alias: str, columns: tuple[str, ...]) -> str:
    # A constant needs no right to read anything.
    return ", ".join(member(alias, column) for column in columns) or "1"


def _spell_insert(name: Name, document: Document, conflict: Conflict | None, parameters: Parameters) -> str:
    rows = _spell_document(document, parameters)
    listed = f" ({', '.join(identifier(each.name) for each in document.columns)})" if document.columns else ""
    chosen = ", ".join(f"b.{identifier(each.name)}" for each in document.columns)
    merging = conflict is not None and conflict.resolution is Resolution.MERGE
    counting = f" WHERE set_config('pgrst.inserted', ({_INSERTED} + 1)::text, true) <> '0'" if merging else ""
    return (
        f"INSERT INTO {qualified(name)} AS {_TARGET}{listed} SELECT {chosen} FROM {rows} b{counting}"
        f"{_spell_conflict(document, conflict)}"
    )


def _spell_conflict(document: Document, conflict: Conflict | None) -> str:
    if conflict is None:
        return ""
    target = f" ON CONFLICT ({', '.join(map(identifier, conflict.target))})"
    if conflict.resolution is Resolution.IGNORE or not document.columns:
        return f"{target} DO NOTHING"
    changes = ", ".join(f"{identifier(each.name)} = excluded.{identifier(each.name)}" for each in document.columns)
    return f"{target} DO UPDATE SET {changes} WHERE set_config('pgrst.inserted', ({_INSERTED} - 1)::text, true) <> '-1'"


def _spell_document(document: Document, parameters: Parameters) -> str:
    """The body's rows, under names and types of the columns they are for; the caller gives the alias."""
    given = parameters.add(document.text)
    if not document.columns:
        return f"json_array_elements({_as_array(document, given)})"
    described = ", ".join(f"{identifier(each.name)} {each.type}" for each in document.columns)
    listed = ", ".join(f"d.{identifier(each.name)}" for each in document.columns)
    if not document.with_defaults:
        record = "json_to_recordset" if document.is_array else "json_to_record"
        return f"(SELECT {listed} FROM {record}({given}::json) AS d({described}))"
    filled = f"jsonb_build_object({_spell_defaults(document.columns)}) || e.v"
    return (
        f"(SELECT {listed} FROM json_array_elements({_as_array(document, given)}) AS j(v),"
        f" LATERAL (SELECT j.v::jsonb) AS e(v), LATERAL jsonb_to_record({filled}) AS d({described}))"
    )


def _as_array(document: Document, given: str) -> str:
    return f"{given}::json" if document.is_array else f"json_build_array({given}::json)"


def _spell_defaults(columns: tuple[Column, ...]) -> str:
    # The default's own text comes from the catalogue, which spells it so that it can be evaluated again.
    return ", ".join(f"{literal(each.name)}, {each.default}" for each in columns if each.default is not None)
