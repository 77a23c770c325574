"""Which step is taken at which share of a budget, by whom, and what a stack says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from agents.work import Agenda, Work
from orchestrator.config import Config, ConfigError, SavingStep, check_savers
from orchestrator.saving import FREE, LOOK_AGAIN, Measures, Savings, explain, hold
from orchestrator.stage import Due
from orchestrator.verbs import BudgetNow

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OURS, THEIRS = UUID(int=1), UUID(int=2)
# Not in their order: that is by `at`.
STEPS = {
    "few": SavingStep(at=0.9, roles=("builder",)),
    "slow": SavingStep(at=0.5, slower=3),
    "cheap": SavingStep(at=0.75, tier="small"),
    "slowest": SavingStep(at=0.95, slower=10),
}


def budget(used: float, **values: Any) -> BudgetNow:
    return BudgetNow(per="day", usd=Decimal(5), used_usd=Decimal(5) * Decimal(str(used)), **values)


def measures(used: float, agent: str) -> Measures:
    savings = Savings(STEPS)
    savings.learn([budget(used)])
    return savings.of(OURS, agent)


@pytest.mark.parametrize(
    ("used", "slower", "small", "waits", "step"),
    [
        (0.5, 3, False, False, "slow"),
        (0.74, 3, False, False, "slow"),
        (0.75, 3, True, False, "cheap"),
        (0.9, 3, True, True, "few"),
        (0.95, 10, True, True, "slowest"),
        (1.2, 10, True, True, "slowest"),
    ],
)
def test_steps_add_up_and_the_later_one_counts(used: float, slower: float, small: bool, waits: bool, step: str) -> None:
    said = f"saving ({step}): {used:.0%} of the 5 USD a day of all stacks is used"
    assert measures(used, "planner") == Measures(slower=slower, small=small, waits=waits, said=said)
    assert measures(used, "builder") == Measures(slower=slower, small=small, waits=False, said=said)


def test_below_the_first_step_and_without_budgets_or_steps_nothing_is_done_without() -> None:
    assert measures(0.49, "planner") == FREE
    assert Savings(STEPS).of(OURS, "planner") == FREE
    nobody = Savings({})
    nobody.learn([budget(1)])
    assert (nobody.of(OURS, "planner"), nobody.reached) == (FREE, ())


@pytest.mark.parametrize(
    ("values", "saves"),
    [
        ({}, {(OURS, "planner"), (OURS, "builder"), (THEIRS, "planner"), (THEIRS, "builder")}),
        ({"stack_id": OURS}, {(OURS, "planner"), (OURS, "builder")}),
        ({"agent_type": "builder"}, {(OURS, "builder"), (THEIRS, "builder")}),
        ({"stack_id": THEIRS, "agent_type": "planner"}, {(THEIRS, "planner")}),
    ],
)
def test_who_spends_from_a_budget_saves_on_it(values: dict[str, Any], saves: set[tuple[UUID, str]]) -> None:
    savings = Savings(STEPS)
    savings.learn([budget(0.6, **values), budget(0.1)])
    everybody = {(stack, agent) for stack in (OURS, THEIRS) for agent in ("planner", "builder")}
    assert {who for who in everybody if savings.of(*who) != FREE} == saves


def test_tokens_count_as_dollars_do_and_an_empty_budget_is_used_up() -> None:
    assert BudgetNow(per="day", tokens=200, used_tokens=150, usd=Decimal(9), used_usd=Decimal(0)).share == 0.75
    assert BudgetNow(per="all time", usd=Decimal(0)).share == 1


def test_who_waits_is_looked_at_again_and_the_stack_says_why() -> None:
    work = Work(agent="planner", priority=5, reason="r", key="k", at=NOW)
    agendas = {"planner": Agenda(work=(work,)), "builder": Agenda()}
    both = {name: measures(0.92, name) for name in agendas}
    left, held = hold(agendas, both, NOW)
    assert left == {"planner": Agenda(next_at=NOW + LOOK_AGAIN), "builder": Agenda()}
    assert held == ("planner",)
    due = explain(Due(after=LOOK_AGAIN, reason="next look at 12:00:30 UTC"), both, held)
    said = "saving (few): 92% of the 5 USD a day of all stacks is used; planner waits; next look at 12:00:30 UTC"
    assert due == Due(after=LOOK_AGAIN, reason=said)


def test_who_is_slower_says_so_and_other_reasons_stay() -> None:
    both = {"planner": measures(0.6, "planner")}
    slow = explain(Due(after=timedelta(seconds=9), reason="next look at 12:00:09 UTC"), both, ())
    assert (slow.reason or "").startswith("saving (slow): 60% of ")
    for due in (Due(after=timedelta(0), reason=None), Due(after=None, reason="budget exhausted: x")):
        assert explain(due, both, ()) == due


def config(**steps: Any) -> Config:
    return Config.build(
        {"supabase_url": "http://h", "service_key": "sb_secret_abc", "budget": {"degrade": steps}, "models": {}}
    )


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"at": 1}, "budget.degrade.x.at = 1"),
        ({"at": 0.5, "slower": 0.5}, "budget.degrade.x.slower"),
        ({"at": 0.5, "tier": "large"}, "budget.degrade.x.tier"),
        ({"slower": 2}, "budget.degrade.x.at is not set"),
    ],
)
def test_a_step_that_cannot_be_is_told(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(x=step)


def test_a_step_for_an_agent_that_nobody_has_is_told() -> None:
    settings = config(few={"at": 0.9, "roles": ["bilder"]})
    with pytest.raises(
        ConfigError, match=r"budget.degrade.few.roles: there is no agent 'bilder'; did you mean builder?"
    ):
        check_savers(settings.budget, ["builder", "planner"])
