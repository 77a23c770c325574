"""Prompts of one's own: a file takes the place of an agent's instructions, and is read again whenever it changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agents.agent import Agent
from agents.ask import Ask
from agents.snapshot import Snapshot
from agents.work import Work
from agents.wrapped import Wrapped
from orchestrator.config import AgentSettings, ConfigError
from orchestrator.facts import Observer, PromptRead

LONGEST = 100_000


def with_prompts(
    agents: Mapping[str, Agent], settings: Mapping[str, AgentSettings], observer: Observer
) -> Mapping[str, Agent]:
    """The agents, those whose settings name a prompt with its text for instructions; each such file is told once.

    Raises ConfigError for settings of an agent that is not installed, and for a file that cannot be used.
    """
    for name in settings:
        if name not in agents:
            close = difflib.get_close_matches(name, list(agents), n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]}?" if close else f": there are {', '.join(agents)}"
            raise ConfigError(f"[agents.{name}] names an agent that is not installed{hint}")
    prompts = {name: agent.prompt for name, agent in settings.items() if agent.prompt is not None}
    return {
        name: Prompted(agent, PromptFile(name, prompts[name], observer)) if name in prompts else agent
        for name, agent in agents.items()
    }


def read_prompt(name: str, path: Path) -> str:
    """The text of a prompt's file; raises ConfigError where there is none that could be used."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"agents.{name}.prompt = {str(path)!r}: {reason}; correct the path") from None
    except UnicodeDecodeError:
        raise ConfigError(f"agents.{name}.prompt = {str(path)!r}: this is not UTF-8 text; save it as such") from None
    if not text:
        raise ConfigError(f"agents.{name}.prompt = {str(path)!r}: the file is empty; write instructions into it")
    if len(text) > LONGEST:
        raise ConfigError(
            f"agents.{name}.prompt = {str(path)!r}: {len(text)} characters, at most {LONGEST} are allowed; shorten it"
        )
    return text


class PromptFile:
    """A prompt's file. What cannot be read later on changes nothing: the last good text stays, and a fact says so."""

    def __init__(self, name: str, path: Path, observer: Observer) -> None:
        self._name = name
        self._path = path
        self._observer = observer
        self._seen = _stamp(path)
        self._text = read_prompt(name, path)
        self._tell(None)

    def text(self) -> str:
        """The newest text that could be read; one look at the file's time and size where nothing changed."""
        seen = _stamp(self._path)  # before the text: a change between the two is seen at the next look
        if seen != self._seen:
            self._seen = seen
            self._read()
        return self._text

    def _read(self) -> None:
        try:
            text = read_prompt(self._name, self._path)
        except ConfigError as error:
            self._tell(str(error))
            return
        if text != self._text:
            self._text = text
            self._tell(None)

    def _tell(self, error: str | None) -> None:
        self._observer(PromptRead(agent=self._name, path=str(self._path), error=error))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


class Prompted(Wrapped):
    """An agent with instructions of somebody else's; everything else is its own."""

    def __init__(self, agent: Agent, prompt: PromptFile) -> None:
        super().__init__(agent)
        self._prompt = prompt

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        return replace(super().ask(snapshot, work), system=self._prompt.text())
