"""The door of this stage: a plan becomes a statement."""

from __future__ import annotations

from typing import assert_never

from minibase.rest.plan.values import CallPlan, Plan, Read, ReadPlan, WritePlan
from minibase.rest.query.call import spell_call
from minibase.rest.query.envelope import spell_envelope, spell_total
from minibase.rest.query.read import spell_rows, spell_unlimited
from minibase.rest.query.statement import Parameters, Statement
from minibase.rest.query.write import spell_write
from minibase.rest.request.values import CountMode

_GUESSED = (CountMode.PLANNED, CountMode.ESTIMATED)


def spell_plan(plan: Plan, max_rows: int | None) -> Statement:
    """Spell any plan."""
    match plan:
        case ReadPlan():
            return _spell_read_plan(plan, max_rows)
        case WritePlan():
            return spell_write(plan)
        case CallPlan():
            return spell_call(plan, max_rows)
        case _ as never:
            assert_never(never)


def _spell_read_plan(plan: ReadPlan, max_rows: int | None) -> Statement:
    parameters = Parameters()
    rows = spell_rows(plan.read, parameters)
    total = spell_total(plan.read, plan.answer, max_rows, parameters)
    return Statement(
        text=spell_envelope(rows, plan.answer, total=total),
        parameters=tuple(parameters.values),
        estimate=_spell_estimate(plan.read) if plan.answer.count in _GUESSED else None,
    )


def _spell_estimate(read: Read) -> Statement:
    parameters = Parameters()
    text = f"EXPLAIN (FORMAT JSON) {spell_unlimited(read, parameters)}"
    return Statement(text=text, parameters=tuple(parameters.values))
