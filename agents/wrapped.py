"""An agent within another: whoever changes one thing of it overrides that and leaves the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.agent import Agent
from agents.ask import Ask
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Work


class Wrapped:
    """Everything as the agent itself has it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @property
    def name(self) -> str:
        return self._agent.name

    @property
    def needs_artifact(self) -> bool:
        return self._agent.needs_artifact

    @property
    def excludes(self) -> frozenset[str]:
        return self._agent.excludes

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        return self._agent.find_work(snapshot, now)

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return self._agent.ask(snapshot, work)

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        return self._agent.interpret(reply, snapshot, work)
