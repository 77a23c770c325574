"""A fifth agent: says in one sentence what a stranger would make of each new version, and leaves it to the planner."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from agents.agent import Agent
from agents.ask import Ask, instructions, with_context
from agents.changes import Advise, Remember
from agents.outcome import Outcome, ReplyRejected
from agents.snapshot import Snapshot
from agents.work import NOTHING, Agenda, Work


class Impression(BaseModel):
    """The shape of the model's reply; its JSON schema is sent along."""

    thinking: str
    sentence: str = Field(description="one sentence, to the planner")


class Critic:
    name = "critic"
    needs_artifact = False  # the page's source is not in the snapshot then, which saves much
    excludes: frozenset[str] = frozenset()  # may run beside anybody

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        """Each version once. The database keeps what was seen, so nothing is asked twice, whatever dies."""
        artifact = snapshot.artifact
        seen = snapshot.agent(self.name).memory.get("seen", 0)
        if snapshot.stack.phase == "complete" or artifact is None or artifact.version <= seen:
            return NOTHING
        key = f"critic:v{artifact.version}"
        reason = f"version {artifact.version} has not been seen by a stranger"
        return Agenda(work=(Work(agent=self.name, priority=3, reason=reason, key=key, at=artifact.created_at),))

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        idea = snapshot.idea
        context = {"role": self.name, "idea": {"title": idea.title, "description": idea.description} if idea else None}
        user, system = with_context("What is unclear?", context), instructions(__name__)  # prompt.md, beside this file
        return Ask(system=system, user=user, output=Impression, temperature=0.7, max_output_tokens=500, tier="small")

    def interpret(self, reply: Impression, snapshot: Snapshot, work: Work) -> Outcome:
        if snapshot.artifact is None:
            raise ReplyRejected("there is no version any more")
        version = snapshot.artifact.version
        note = {"severity": "advice", "text": reply.sentence}
        changes = (Remember(set={"seen": version}), Advise(agent="planner", items={work.key: note}))
        return Outcome(thought=reply.thinking[:1000], action="criticise", result={"version": version}, changes=changes)


agent: Agent = Critic()
