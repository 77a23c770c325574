"""An agent is three pure functions around a model call that somebody else makes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from agents.ask import Ask
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Agenda, Work


class Agent(Protocol):
    """One role. The registry finds roles by the entry point group ``stackbeat.agents``."""

    @property
    def name(self) -> str: ...

    @property
    def needs_artifact(self) -> bool:
        """Whether ``ask`` and ``interpret`` want the newest artifact's source in the snapshot."""

    @property
    def excludes(self) -> frozenset[str]:
        """Roles that must not run in the same stage, because one needs the other's result."""

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        """Is there a reason to run? Nothing but the snapshot and the time decides."""

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        """What to ask a model for this work."""

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        """What the reply (an instance of the ask's output model) changes; raises ReplyRejected if it must not land."""
