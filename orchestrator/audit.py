"""Looks every few seconds how much of the budgets is used, where there are steps to take before they are exhausted."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from orchestrator.facts import Observer, SavingBegan, SavingEnded
from orchestrator.saving import Savings
from orchestrator.store import Store, StoreError


@dataclass(slots=True, kw_only=True)
class Audit:
    """Tells ``savings`` what it finds; what changes is a fact."""

    store: Store
    savings: Savings
    observer: Observer
    every_s: float
    wanted: bool
    _told: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled; without steps there is nothing to look for."""
        while self.wanted:
            try:
                await self.look()
            except StoreError as error:
                self.store.report_away("budgets_now", error, self.every_s)
            await anyio.sleep(self.every_s)

    async def look(self) -> None:
        """Read the budgets once; raises StoreError."""
        if not self.wanted:
            return
        self.savings.learn(await self.store.budgets())
        reached = {budget.words: (step, budget.share) for step, budget in self.savings.reached}
        for words, (step, share) in reached.items():
            if self._told.get(words) != step:
                self.observer(SavingBegan(budget=words, step=step, share=share))
        for words in self._told.keys() - reached.keys():
            self.observer(SavingEnded(budget=words))
        self._told = {words: step for words, (step, _) in reached.items()}
