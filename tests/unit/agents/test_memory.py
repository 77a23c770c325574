"""What the agents remember: it enters their prompts within a budget, and is put in order before it is lost."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.agent import Agent
from agents.builder import agent as builder
from agents.changes import Forget, Learn
from agents.communicator import agent as communicator
from agents.memory.order import MANY, PAUSE
from agents.memory.window import KNOWN_TOKENS, RECENT_TOKENS, known, recent_thoughts, tokens
from agents.outcome import Outcome, ReplyRejected
from agents.planner import agent as planner
from agents.reviewer import agent as reviewer
from agents.snapshot import Memory, Snapshot
from agents.testing import START, FakeStack, run_once, scripted_model
from agents.work import Work

PROMPTS = Path(__file__).with_name("prompts")
AGENTS = {agent.name: agent for agent in (planner, builder, reviewer, communicator)}
PAGE = '<!doctype html><html lang="en"><head><title>t</title></head><body><h1>Tea</h1></body></html>'


def after_a_while() -> FakeStack:
    """A stack with something to do for everybody, and a past."""
    stack = FakeStack(phase="building")
    stack.set_idea("Tea timer", "Steeps every tea for as long as it wants.")
    done = stack.add_todo("Build the timer", status="completed", completed_at=stack.now)
    stack.publish(PAGE, done, "The timer is there.")
    stack.add_todo("Add a dark theme for the evening", assigned_by="planner")
    stack.say("Could you add a dark theme for my evening tea?", "Ada")
    stack.receive("We have a kettle, do you have tea?", sender=UUID(int=7))
    stack.learn("Ada drinks her tea in the evening and dislikes bright colours", agent="communicator", importance=6)
    stack.learn("The timer must not need a library", agent="planner", importance=9)
    stack.learn("Labels were forgotten twice; look at inputs first", agent="reviewer", kind="learning")
    stack.learn("Bob asked for the weather", agent="communicator", importance=1)
    for number in range(30):
        stack.learn(f"An unimportant remark, number {number}, " + "long " * 40, agent="builder", importance=1)
    thoughts = {"recent_thoughts": ["First the core.", "Then the looks."]}
    stack.agents["planner"] = {"memory": {}, "inbox": {}, "context": thoughts, "last_run_at": None}
    return stack


def prompt_of(agent: Agent, stack: FakeStack) -> tuple[Work, str]:
    work, *_ = agent.find_work(stack.snapshot(), stack.now).work
    snapshot = stack.snapshot()
    if agent.needs_artifact:
        snapshot = snapshot.with_artifact(stack.artifacts[-1]["content"])
    return work, agent.ask(snapshot.with_memories(stack.recall(work)), work).user


@pytest.mark.parametrize("name", AGENTS)
def test_the_assembled_prompt_is_the_expected_one(name: str) -> None:
    work, prompt = prompt_of(AGENTS[name], after_a_while())
    task, block = prompt.split("\n\n```json\n")
    context = json.loads(block.removesuffix("\n```"))
    shown = f"{tokens(prompt)} tokens, {tokens(json.dumps(context.get('memory')))} of them memory; {work.reason}\n"
    shown += f"{task}\n{json.dumps(context, indent=1, ensure_ascii=False)}\n"
    golden = PROMPTS / f"{name}.txt"
    if os.environ.get("RENEW_EXPECTED"):
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8"), "RENEW_EXPECTED=1 writes it anew; look at the difference"


@pytest.mark.parametrize(
    ("name", "wanted"), [("communicator", "Ada drinks"), ("builder", "Ada drinks"), ("planner", "must not need")]
)
def test_what_fits_the_work_is_in_the_prompt_whoever_noted_it(name: str, wanted: str) -> None:
    _, prompt = prompt_of(AGENTS[name], after_a_while())
    assert wanted in prompt


def test_a_stack_that_remembers_nothing_recalls_nothing() -> None:
    stack = after_a_while()
    stack.memories.clear()
    for agent in AGENTS.values():
        for work in agent.find_work(stack.snapshot(), stack.now).work:
            assert work.recall is None


@given(st.lists(st.text(min_size=1, max_size=500), max_size=60))
def test_memory_keeps_its_budget_whatever_is_in_it(texts: list[str]) -> None:
    items = tuple(
        Memory(id=UUID(int=n), agent="planner", content=text, created_at=START) for n, text in enumerate(texts)
    )
    states = {"planner": {"context": {"recent_thoughts": texts}}}
    bare = FakeStack().snapshot()
    snapshot = Snapshot.model_validate({**bare.model_dump(), "agents": states}).with_memories(items)
    assert sum(tokens(str(one)) for one in known(snapshot)) <= KNOWN_TOKENS
    thoughts = recent_thoughts(snapshot, "planner")
    assert sum(tokens(one) for one in thoughts) <= RECENT_TOKENS
    assert [one for one in texts[-3:] if one in thoughts] == thoughts


def full(count: int = MANY) -> FakeStack:
    stack = FakeStack(phase="building")
    stack.set_idea("Tea timer")
    for number in range(count):
        stack.learn(f"Fact {number}")
    return stack


def in_order(stack: FakeStack, **reply: Any) -> Outcome | ReplyRejected:
    (work,) = builder_free(stack)
    said = {"thinking": "In order.", "summaries": [], "forget": []} | reply
    return run_once(stack, planner, work, scripted_model(said))


def builder_free(stack: FakeStack) -> tuple[Work, ...]:
    """The planner's work where it has nothing else to do."""
    stack.agents.setdefault("planner", {"memory": {}, "inbox": {}, "context": {}, "last_run_at": None})
    if not stack.todos:
        stack.add_todo("Wait", available_at=stack.now + timedelta(days=1))
    return planner.find_work(stack.snapshot(), stack.now).work


def test_much_in_memory_is_a_reason_of_its_own_and_little_is_none() -> None:
    assert builder_free(full(MANY - 1)) == ()
    (work,) = builder_free(full())
    assert work.priority == 2
    assert "24 items in memory" in work.reason
    assert work.recall is not None
    assert work.recall.own
    stack = full()
    stack.phase = "complete"
    assert planner.find_work(stack.snapshot(), stack.now).work == ()


def test_merged_items_give_way_to_their_summary_and_the_next_order_waits() -> None:
    stack = full()
    ids = [str(row["id"]) for row in stack.memories]
    outcome = in_order(
        stack, summaries=[{"text": "Twenty facts", "importance": 7, "replaces": ids[:20]}], forget=[ids[20], "nobody's"]
    )
    assert isinstance(outcome, Outcome)
    assert [type(change) for change in outcome.changes[:2]] == [Forget, Learn]
    assert [row["content"] for row in stack.memories] == ["Fact 21", "Fact 22", "Fact 23", "Twenty facts"]
    assert stack.memories[-1]["kind"] == "summary"
    for number in range(30):
        stack.learn(f"More {number}")
    assert builder_free(stack) == ()
    assert planner.find_work(stack.snapshot(), stack.now).next_at is not None
    stack.now += PAUSE
    assert [work.key.partition(":")[0] for work in builder_free(stack)] == ["timer", "memory"]


@pytest.mark.parametrize("reply", ["nothing", "everything", "one for one", "strangers"])
def test_an_order_that_helps_nobody_is_refused(reply: str) -> None:
    stack = full()
    ids = [str(row["id"]) for row in stack.memories]
    said: dict[str, Any] = {
        "nothing": {},
        "everything": {"forget": ids},
        "one for one": {"summaries": [{"text": "x", "importance": 5, "replaces": ids[:1]}]},
        "strangers": {"forget": ["00000000-0000-0000-0000-000000000999"]},
    }[reply]
    assert isinstance(in_order(stack, **said), ReplyRejected)
    assert len(stack.memories) == MANY


def test_the_simulated_team_puts_its_memory_in_order() -> None:
    stack = full(40)
    (work,) = builder_free(stack)
    outcome = run_once(stack, planner, work)
    assert isinstance(outcome, Outcome)
    assert len(stack.memories) < MANY
    summary = next(row["content"] for row in stack.memories if row["kind"] == "summary")
    assert len(re.findall(r"Fact \d+", summary)) > 10


def test_what_a_reply_learned_is_remembered_with_its_kind() -> None:
    stack = after_a_while()
    (work,) = reviewer.find_work(stack.snapshot(), stack.now).work
    said = {"thinking": "t", "verdict": "ready", "issues": [], "recommendations": [], "resolved": []}
    lesson = {"kind": "learning", "text": "Look at contrast", "importance": 7}
    run_once(stack, reviewer, work, scripted_model(said | {"learned": [lesson]}))
    row = stack.memories[-1]
    assert (row["agent"], row["kind"], row["content"], row["importance"]) == (
        "reviewer",
        "learning",
        "Look at contrast",
        7,
    )
