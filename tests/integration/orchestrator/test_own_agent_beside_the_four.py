"""The example's agent plays beside the four, on the real verbs; what is wrong with a plug-in harms no other."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.agent import Agent
from agents.ask import Ask
from agents.outcome import Outcome
from agents.simulated import simulate
from agents.snapshot import Snapshot
from agents.work import Agenda, Work
from orchestrator.registry import GROUP, load_agents

from .conftest import World
from .simulated import playing, with_idea

EXAMPLE = Path(__file__).parents[3] / "examples" / "own-agent"
ENDED = "select agent_type, status, count(*) from agent_executions group by 1, 2"


def model(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
    if context.get("role") == "critic":
        return {"thinking": "A stranger's look.", "sentence": f"What is {context['idea']['title']}?"}
    return simulate(role, context, seed)


@pytest.fixture
def critic(monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    points = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    return load_agents(EntryPoint(name, value, GROUP) for name, value in points.items())["critic"]


async def test_the_example_plays_beside_the_four_and_the_planner_hears_it(world: World, critic: Agent) -> None:
    stack = await with_idea(world, "Tea timer")
    async with playing(world, model, agents={**load_agents(), "critic": critic}) as time:
        await time.play(time.now + timedelta(hours=1))
    assert await world.admin.fetchval("select phase from agent_stacks where id = $1", stack) == "complete"
    seen = await world.admin.fetch("select result ->> 'version' as v from agent_traces where agent_type = 'critic'")
    versions = await world.admin.fetchval("select max(version) from artifacts")
    assert len(seen) == len({row["v"] for row in seen}) >= versions - 1 > 0
    assert await world.admin.fetchval("select inbox = '{}' from agent_states where agent_type = 'planner'")
    assert {row["status"] for row in await world.admin.fetch(ENDED)} == {"completed"}


class Shapeless(BaseModel):
    anything: dict[str, Any]  # strict mode has no such thing: no provider would take it


class Fine(BaseModel):
    thinking: str


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A plug-in with something wrong with it."""

    fault: str
    name: str = "broken"
    needs_artifact: bool = False
    excludes: frozenset[str] = frozenset()

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        if self.fault == "find_work raises":
            raise RuntimeError("no idea")
        return Agenda(work=(Work(agent="broken", priority=10, reason="always", key="k", at=now),))

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        if self.fault == "ask raises":
            raise RuntimeError("no question")
        output = Shapeless if self.fault == "a schema nobody takes" else Fine
        return Ask(
            system="s", user="u\n```json\n{}\n```", output=output, temperature=0, max_output_tokens=9, tier="small"
        )

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        raise RuntimeError("no answer")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("find_work raises", None),
        ("ask raises", "no question"),
        ("a schema nobody takes", "free-form"),
        ("interpret raises", "no answer"),
    ],
)
async def test_a_broken_plug_in_is_seen_and_the_others_finish(world: World, fault: str, says: str | None) -> None:
    await with_idea(world, "Tea timer")

    def answer(role: str, context: dict[str, Any], seed: str) -> dict[str, Any]:
        return simulate(role, context, seed) if "role" in context else {"thinking": "t"}

    agents: Mapping[str, Agent] = {**load_agents(), "broken": Broken(fault=fault)}
    async with playing(world, answer, agents=agents) as time:
        await time.play(time.now + timedelta(minutes=30))
    assert await world.admin.fetchval("select phase from agent_stacks") == "complete"
    broke = [fact for fact in world.facts if type(fact).__name__ == "AgentBroke"]
    errors = [
        row[0] for row in await world.admin.fetch("select error from agent_executions where agent_type = 'broken'")
    ]
    assert broke or errors
    if says is not None:
        assert errors
        assert all(says in error for error in errors), errors[:1]
    assert (
        await world.admin.fetchval(
            "select count(*) from agent_executions where agent_type <> 'broken' and status <> 'completed'"
        )
        == 0
    )
