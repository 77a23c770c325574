"""Function calls as SQL."""

from __future__ import annotations

from typing import assert_never

from minibase.rest.catalogue.values import Parameter
from minibase.rest.plan.values import Arguments, CallPlan, FromObject, FromTexts, WholeBody
from minibase.rest.query.envelope import spell_envelope, spell_scalar_envelope, spell_total
from minibase.rest.query.read import GIVEN, spell_rows, spell_window
from minibase.rest.query.spelling import identifier, qualified
from minibase.rest.query.statement import Parameters, Statement, array_literal


def spell_call(plan: CallPlan, max_rows: int | None) -> Statement:
    """Spell a call: rows go through a read like a table's, other results straight into the body."""
    parameters = Parameters()
    arguments, source = _spell_arguments(plan.arguments, parameters)
    call = f"{qualified(plan.function.name)}({arguments})"
    if plan.read is None:
        window = spell_window(plan.window, parameters) if plan.function.returns_set else ""
        rows = f"SELECT {call} AS v{' FROM ' + source if source else ''}{window}"
        text = spell_scalar_envelope(rows, plan.answer, set_of_values=plan.function.returns_set)
        return Statement(text=text, parameters=tuple(parameters.values))
    given = f"SELECT f.* FROM {source + ', LATERAL ' if source else ''}{call} AS f"
    rows = spell_rows(plan.read, parameters)
    total = spell_total(plan.read, plan.answer, max_rows, parameters)
    outer = spell_envelope(rows, plan.answer, total=total, single=not plan.function.returns_set)
    return Statement(text=f"WITH {GIVEN} AS ({given}) {outer}", parameters=tuple(parameters.values))


def _spell_arguments(arguments: Arguments, parameters: Parameters) -> tuple[str, str]:
    """The argument list, and the FROM item it refers to, if any."""
    match arguments:
        case FromObject(text=text, parameters=named):
            if not named:
                return "", ""
            described = ", ".join(f"{identifier(each.name)} {each.type}" for each in named)
            listed = ", ".join(
                f"{'VARIADIC ' if each.variadic else ''}{identifier(each.name)} => a.{identifier(each.name)}"
                for each in named
            )
            return listed, f"json_to_record({parameters.add(text)}::json) AS a({described})"
        case FromTexts(values=values):
            return ", ".join(_spell_text(each, texts, parameters) for each, texts in values), ""
        case WholeBody(text=text, type=type_name):
            given = b"\\x" + text.hex().encode() if type_name == "bytea" else text
            return f"{parameters.add(given)}::{type_name}", ""
        case _ as never:
            assert_never(never)


def _spell_text(parameter: Parameter, texts: tuple[str, ...], parameters: Parameters) -> str:
    if not parameter.variadic:
        return f"{identifier(parameter.name)} => {parameters.add(texts[-1])}::{parameter.type}"
    given = parameters.add(array_literal(texts))
    return f"VARIADIC {identifier(parameter.name)} => {given}::{parameter.type}"
