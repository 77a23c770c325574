"""What all parts of one history share: chance, the clock, the log of what happened, and what was found wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulation.chance import Chance
from simulation.database import Database
from simulation.loop import VirtualLoop


@dataclass(kw_only=True)
class ModelCall:
    """One question to a model, counted when it was asked."""

    id: str
    daemon: int
    stack: str


@dataclass(kw_only=True)
class World:
    seed: int
    loop: VirtualLoop
    database: Database
    chance: Chance
    log: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    # Books kept outside the database, to hold it to.
    model_calls: dict[str, ModelCall] = field(default_factory=dict)
    lossy: set[int] = field(default_factory=set)  # daemons that died, or had to give up when they were told to end
    delivered_calls: set[str] = field(default_factory=set)  # ledger ids in commits that the database took
    reported: set[str] = field(default_factory=set)  # runs of which some outcome reached the database
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)  # run id -> the outcome as it was sent
    on_the_way: int = 0  # requests that will still reach the database

    @property
    def now(self) -> float:
        return self.loop.time()

    def note(self, who: str, what: str) -> None:
        self.log.append(f"{self.now:9.4f} {who:<10} {what}")

    def find(self, what: str) -> None:
        """Note that something is wrong; the history goes on, for what follows may explain it."""
        self.note("FINDING", what)
        self.findings.append(f"at {self.now:.3f} s: {what}")

    def find_all(self, findings: Iterable[str]) -> None:
        for finding in findings:
            self.find(finding)
