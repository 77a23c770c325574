"""Ten visitors write to one stack at once, one of them what no model can answer: nine answers, one visible failure."""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import dataclass, field

import anyio

from agents.communicator import agent as communicator
from orchestrator.llm.values import Reply, Request, Tier

from .conftest import World

POISON = "☠"
LINES = """
select u.sender_name, u.content, u.status, u.last_error, m.content as answer, m.created_at as at, u.attempts,
  extract(epoch from u.answered_at - u.created_at)::float as took
from user_messages u left join messages m on m.id = u.response_id order by u.created_at
"""


@dataclass(kw_only=True)
class Slow:
    """Answers after one to three seconds, and with nonsense whoever is asked about the poison."""

    name: str = "slow"
    simulated: bool = True
    timeout_s: float = 30.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    together: int = 0
    most: int = 0

    def model(self, tier: Tier, role: str) -> str:
        return "slow-1"

    async def complete(self, request: Request) -> Reply:
        self.together += 1
        self.most = max(self.most, self.together)
        await anyio.sleep(self.chance.uniform(1, 3))
        self.together -= 1
        asked = "".join(turn.content for turn in request.turns)
        question = json.loads(asked.split("```json\n")[1].split("\n```")[0])["question"]
        said = {"thinking": "t", "answer": f"To {question['sender']}: {question['text']}"}
        text = "I must not say" if POISON in question["text"] else json.dumps(said)
        return Reply(text=text, finish_reason="stop", tokens_in=10, tokens_out=5)


async def test_nine_answers_in_order_and_one_failure_that_people_can_see(world: World) -> None:
    stack, model = await world.stack(), Slow()
    say = (
        "insert into user_messages (stack_id, sender_name, content, created_at) values ($1, $2, $3, clock_timestamp())"
    )
    # Two of the ten come with a second line before the first is answered.
    lines = [(f"Visitor {n}", POISON if n == 4 else "first") for n in range(10)]
    lines += [("Visitor 1", "second"), ("Visitor 2", "second")]
    await world.admin.execute("update agent_stacks set execution_state = 'paused' where id = $1", stack)
    for name, text in lines:
        await world.admin.execute(say, stack, name, text)
    async with world.daemon([communicator], [model], stage_size=10):
        await world.admin.execute("update user_messages set created_at = clock_timestamp()")
        await world.move(stack, "running")
        await world.until("select count(*) = 11 from user_messages where status = 'answered'")
        await world.until("select count(*) = 1 from user_messages where status = 'failed'")
    rows = await world.admin.fetch(LINES)
    answered = [row for row in rows if row["status"] == "answered"]
    assert [row["answer"] for row in answered] == [f"To {row['sender_name']}: {row['content']}" for row in answered]
    (poisoned,) = [row for row in rows if row["status"] == "failed"]
    assert (poisoned["content"], poisoned["answer"], poisoned["attempts"]) == (POISON, None, 3)
    assert poisoned["last_error"]
    assert await world.admin.fetchval("select count(*) from messages where message_type = 'visitor'") == 11, (
        "none twice"
    )
    for name in ("Visitor 1", "Visitor 2"):
        own = sorted((row for row in answered if row["sender_name"] == name), key=lambda row: row["at"])
        assert [row["content"] for row in own] == ["first", "second"]
    assert model.most >= 9
    took = sorted(row["took"] for row in answered if row["content"] == "first")
    print(f"question to answer, 9 at once, model 1-3 s: p50 {statistics.median(took):.2f} s, p95 {took[-1]:.2f} s")
