"""No call without a reason: what an agent was told before, without effect, it is not told again. Pure.

A run that was answered and changed nothing leaves a mark in its agent's context: the hash of what it was told, and why
(the work's key). While work comes with the same key and would be told the same, nobody is asked. An agent that wants to
ask the same thing again, because time has passed, says so by another key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agents.agent import Agent
from agents.ask import Ask, ask_hash
from agents.changes import Learn, Remember
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.work import Work

MARK = "answered"


def told(agent: Agent, snapshot: Snapshot, work: Work, ask: Ask) -> str:
    """SHA-256, in hex, of why an agent runs and what it is told, as far as that is known before its run begins.

    ``ask`` is made without the artifact's source; the version stands for it. Which tier answers is no news.
    """
    version = snapshot.artifact.version if agent.needs_artifact and snapshot.artifact else 0
    parts = (work.key, ask_hash(replace(ask, tier="small")), str(version))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def was_answered(agent: Agent, snapshot: Snapshot, work: Work) -> bool:
    """Whether the agent's last run was told exactly this and changed nothing. Raises whatever the agent's ask does."""
    mark = snapshot.agent(agent.name).context.get(MARK)
    return mark is not None and mark == told(agent, snapshot, work, agent.ask(snapshot, work))


def context_after(outcome: Outcome, before: Mapping[str, Any], what: Callable[[], str] | None) -> dict[str, Any] | None:
    """The agent's context after a completed run, with the mark of ``what`` it was told where it changed nothing.

    None keeps what is there.
    """
    quiet = what is not None and all(isinstance(change, Remember | Learn) for change in outcome.changes)
    if outcome.context is None and not quiet and MARK not in before:
        return None
    context = dict(before if outcome.context is None else outcome.context)
    context.pop(MARK, None)
    return context | {MARK: what()} if quiet and what is not None else context
