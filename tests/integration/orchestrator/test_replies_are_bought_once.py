"""A reply that reached the database is never bought again, whatever became of the run that asked for it."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from agents.ask import Ask
from agents.snapshot import Snapshot
from agents.work import Work
from orchestrator.facts import ReplyReused

from .conftest import Model, Talker, World


@dataclass(frozen=True, kw_only=True)
class Asker(Talker):
    """Asks about its stack's priority: another question when somebody changes that."""

    def ask(self, snapshot: Snapshot, work: Work) -> Ask:
        asked = super().ask(snapshot, work)
        return Ask(
            system=asked.system,
            user=f"{snapshot.stack.priority}\n{asked.user}",
            output=asked.output,
            temperature=0,
            max_output_tokens=9,
            tier="small",
        )


async def overtaken_while_answering(world: World) -> tuple[Model, str]:
    """A model whose first reply comes when its run's fence no longer holds; and the stack's id."""
    stack = await world.stack(state="idle")

    async def think() -> str:
        if model.calls == 1:
            # Past every signal: the reply is on its way to the database before the daemon can know.
            editor = await asyncpg.connect(world.dsn)
            await editor.execute("update public.stack_schedule set fence = fence + 1 where stack_id = $1", stack)
            await editor.close()
        return f"word {model.calls}"

    model = Model(think=think)
    return model, str(stack)


async def test_a_run_takes_the_reply_of_one_whose_effects_were_refused(world: World) -> None:
    model, stack = await overtaken_while_answering(world)
    async with world.daemon(agents=[Asker(name="planner")], providers=[model]):
        await world.admin.execute("update public.agent_stacks set execution_state = 'running'")
        await world.until("select count(*) = 1 from public.agent_traces where stack_id = $1", stack)
    assert model.calls == 1
    assert await world.admin.fetchval("select thought from public.agent_traces where stack_id = $1", stack) == "word 1"
    assert await world.admin.fetchval("select count(*) from public.llm_calls") == 1
    assert await world.admin.fetchval(
        "select reply_of = (select id from public.llm_calls) from public.agent_executions where status = 'completed'"
    )
    assert len([fact for fact in world.facts if isinstance(fact, ReplyReused)]) == 1


async def test_another_question_is_asked_anew(world: World) -> None:
    model, stack = await overtaken_while_answering(world)
    async with world.daemon(agents=[Asker(name="planner")], providers=[model]):
        await world.admin.execute("update public.agent_stacks set execution_state = 'running'")
        await world.until("select count(*) = 1 from public.agent_executions where status = 'stale'")
        await world.admin.execute("update public.agent_stacks set priority = 9")
        await world.until("select count(*) = 1 from public.agent_traces where stack_id = $1", stack)
    calls = await world.admin.fetchval("select count(distinct ask_hash) from public.llm_calls")
    assert (model.calls, calls) == (2, 2)
