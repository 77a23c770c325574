"""The role as the registry finds it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.agent import Agent
from agents.ask import Ask
from agents.memory.role import Remembering
from agents.outcome import Outcome
from agents.reviewer import ask, interpret, work
from agents.snapshot import Snapshot
from agents.work import Agenda, Work


class Reviewer:
    name = "reviewer"
    needs_artifact = True
    excludes: frozenset[str] = frozenset({"builder"})

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        return work.find_work(snapshot, now)

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return ask.ask(snapshot, work)

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        return interpret.interpret(reply, snapshot, work)


agent: Agent = Remembering(Reviewer())
