"""What an agent was told before, without effect, it is not told again; anything new is a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from agents.ask import Ask
from agents.changes import AddTodo, Change, Remember
from agents.outcome import Outcome
from agents.snapshot import Snapshot
from agents.testing import START, FakeStack
from agents.work import Agenda, Work
from orchestrator.told import context_after, told, was_answered

WORK = Work(agent="critic", priority=1, reason="r", key="look", at=START)


class Word(BaseModel):
    word: str


@dataclass(frozen=True, kw_only=True)
class Critic:
    name: str = "critic"
    needs_artifact: bool = False
    excludes: frozenset[str] = frozenset()
    system: str = "Be brief."

    def find_work(self, snapshot: Snapshot, now: datetime) -> Agenda:
        return Agenda(work=(WORK,))

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        said = f"{[todo.content for todo in snapshot.todos]} at {snapshot.now}"
        question = said.partition(" at ")[0]
        return Ask(
            system=self.system,
            user=said,
            question=question,
            output=Word,
            temperature=0,
            max_output_tokens=9,
            tier="small",
        )

    def interpret(self, reply: Any, snapshot: Snapshot, work: Work) -> Outcome:
        return Outcome(thought=reply.word, action="look")


def after(stack: FakeStack, agent: Critic, *changes: Change, context: dict[str, Any] | None = None) -> FakeStack:
    """The stack once this agent was told what there is and answered with these changes."""
    snapshot = stack.snapshot()
    outcome = Outcome(thought="hm", action="look", changes=changes, context=context)
    what = told(agent, snapshot, WORK, agent.ask(snapshot, WORK))
    written = context_after(outcome, snapshot.agent("critic").context, lambda: what)
    row = stack.agents.setdefault("critic", {"memory": {}, "inbox": {}, "context": {}, "last_run_at": None})
    row["context"] = row["context"] if written is None else written
    return stack


@pytest.mark.parametrize("changes", [(), (Remember(set={"seen": 1}),)], ids=["nothing", "own memory"])
def test_the_same_again_is_no_reason_whatever_the_clock_says(changes: tuple[Change, ...]) -> None:
    stack = after(FakeStack(), Critic(), *changes, context={"task": "look"})
    stack.pass_time(hours=5)
    assert was_answered(Critic(), stack.snapshot(), WORK)
    assert stack.agents["critic"]["context"]["task"] == "look"


def test_an_answer_that_changed_something_may_be_asked_for_again() -> None:
    stack = after(FakeStack(), Critic())
    assert was_answered(Critic(), stack.snapshot(), WORK)
    after(stack, Critic(), AddTodo(content="x"))
    assert not was_answered(Critic(), stack.snapshot(), WORK)
    assert stack.agents["critic"]["context"] == {}


def a_todo(stack: FakeStack) -> None:
    stack.add_todo("News")


def a_version(stack: FakeStack) -> None:
    stack.publish("<html></html>")


@pytest.mark.parametrize(
    ("happens", "agent", "work"),
    [
        (a_todo, Critic(), WORK),
        (a_version, Critic(needs_artifact=True), WORK),
        (lambda _: None, Critic(system="Be kind."), WORK),
        (lambda _: None, Critic(), replace(WORK, key="look:2")),
    ],
    ids=["what it sees", "the page it will see", "its instructions", "its reason"],
)
def test_what_is_new_is_a_reason(happens: Callable[[FakeStack], None], agent: Critic, work: Work) -> None:
    stack = after(FakeStack(), replace(agent, system="Be brief."))
    happens(stack)
    assert not was_answered(agent, stack.snapshot(), work)


def test_a_version_is_no_news_for_who_does_not_look_at_it() -> None:
    stack = after(FakeStack(), Critic())
    a_version(stack)
    assert was_answered(Critic(), stack.snapshot(), WORK)


def test_a_context_is_left_alone_where_there_is_nothing_to_mark() -> None:
    outcome = Outcome(thought="hm", action="look", changes=(AddTodo(content="x"),))
    assert context_after(outcome, {"task": "old"}, lambda: "hash") is None
    assert context_after(outcome, {"task": "old"}, None) is None
    assert context_after(replace(outcome, changes=()), {"task": "old"}, None) is None, "an ask that broke marks nothing"
