"""Agents are plug-ins: every entry point of the group ``stackbeat.agents`` is one, ours included."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from agents.agent import Agent

GROUP = "stackbeat.agents"
PARTS = ("name", "needs_artifact", "excludes", "find_work", "ask", "interpret")


class RegistryError(Exception):
    """A plug-in cannot be used; the text says which one and why."""


def load_agents(points: Iterable[EntryPoint] | None = None) -> Mapping[str, Agent]:
    """The installed agents by name; raises RegistryError for a plug-in that is broken, misnamed or there twice."""
    agents: dict[str, Agent] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        agent = _load(point)
        if point.name in agents:
            raise RegistryError(f"two plug-ins offer the agent {point.name!r}: uninstall one ({point.value})")
        agents[point.name] = agent
    if not agents:
        raise RegistryError(f"no agents are installed: the entry point group {GROUP} is empty")
    return agents


def _told(error: Exception) -> str:
    """What went wrong and on which line of the plug-in."""
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"


def _load(point: EntryPoint) -> Agent:
    try:
        agent = point.load()
    except Exception as error:  # somebody else's code runs here: it may raise anything
        raise RegistryError(f"the agent {point.name!r} ({point.value}) cannot be loaded: {_told(error)}") from error
    missing = [part for part in PARTS if not hasattr(agent, part)]
    if missing:
        raise RegistryError(f"the agent {point.name!r} ({point.value}) lacks {', '.join(missing)}")
    if agent.name != point.name:
        raise RegistryError(f"the agent {point.value} calls itself {agent.name!r}, its entry point says {point.name!r}")
    checked: Agent = agent
    return checked
