"""What is done before a budget is exhausted: steps by configuration, each at a share of the budget. Pure.

The budgets are read every few seconds (``orchestrator/audit.py``), so a step comes a moment late: it saves, and the
reservation in the database limits. Steps that are reached add up; where two say different things, the later one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from agents.agent import Agent
from agents.ask import Ask
from agents.snapshot import Snapshot
from agents.work import Agenda, Work
from agents.wrapped import Wrapped
from orchestrator.config import SavingStep
from orchestrator.stage import Due
from orchestrator.verbs import BudgetNow

# Nobody wakes a stack when a budget is less used than it was, but this: it looks again.
LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What one agent of one stack does without now; ``said`` is why, None where it does without nothing."""

    slower: float = 1.0
    small: bool = False
    waits: bool = False
    said: str | None = None


FREE = Measures()


class Savings:
    """The steps, and how much of each budget was used when somebody last looked."""

    def __init__(self, steps: Mapping[str, SavingStep]) -> None:
        self._steps = sorted(steps.items(), key=lambda step: step[1].at)
        self._budgets: tuple[BudgetNow, ...] = ()

    def learn(self, budgets: Iterable[BudgetNow]) -> None:
        self._budgets = tuple(budgets) if self._steps else ()

    @property
    def reached(self) -> tuple[tuple[str, BudgetNow], ...]:
        """Every budget that is saved on, with the last step it has reached."""
        found = []
        for budget in self._budgets:
            names = [name for name, step in self._steps if step.at <= budget.share]
            found += [(names[-1], budget)] if names else []
        return tuple(found)

    def of(self, stack: UUID, agent: str) -> Measures:
        """What the most used of the budgets that this agent spends from asks of it."""
        budgets = [budget for budget in self._budgets if budget.covers(stack, agent)]
        if not budgets:
            return FREE
        most = max(budgets, key=lambda budget: budget.share)
        measures = FREE
        for name, step in self._steps:
            if step.at <= most.share:
                measures = _with(measures, name, step, agent, most)
        return measures


def _with(before: Measures, name: str, step: SavingStep, agent: str, budget: BudgetNow) -> Measures:
    return replace(
        before,
        slower=before.slower if step.slower is None else step.slower,
        small=before.small or step.tier == "small",
        waits=before.waits if step.roles is None else agent not in step.roles,
        said=f"saving ({name}): {budget.share:.0%} of {budget.words} is used",
    )


class Frugal(Wrapped):
    """An agent whose questions all go to the model of small ones."""

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return replace(super().ask(snapshot, work), tier="small")


def cheaper(agents: Mapping[str, Agent], measures: Mapping[str, Measures]) -> Mapping[str, Agent]:
    """The same agents, some of them frugal."""
    if not any(each.small for each in measures.values()):
        return agents
    return {name: Frugal(agent) if measures[name].small else agent for name, agent in agents.items()}


def hold(
    agendas: Mapping[str, Agenda], measures: Mapping[str, Measures], now: datetime
) -> tuple[dict[str, Agenda], tuple[str, ...]]:
    """The agendas without the work of who waits, and who that is."""
    held = tuple(name for name, agenda in agendas.items() if agenda.work and measures[name].waits)
    nothing = Agenda(next_at=now + LOOK_AGAIN)
    return {name: nothing if name in held else agenda for name, agenda in agendas.items()}, held


def explain(due: Due, measures: Mapping[str, Measures], held: Sequence[str]) -> Due:
    """The same due time; a stack that waits for nothing but the time says on what it saves."""
    timed = due.after is not None and (due.reason or "").startswith("next look")
    said = next((each.said for name, each in measures.items() if each.said and (name in held or not held)), None)
    if not timed or said is None:
        return due
    waits = f"; {', '.join(held)} wait{'s' if len(held) == 1 else ''}" if held else ""
    return replace(due, reason=f"{said}{waits}; {due.reason}"[:500])
