"""``bench economy``: what a fleet asks of its models in hours of its life, and what that would cost.

Ten stacks, eight hours of fake time, real prompts and real verbs; the simulated model answers. Each stack gets an idea.
Every half hour a visitor writes, a question and a wish in turn, and whoever is done with its project is played again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import asyncpg
import httpx

from agents.simulated import simulate
from agents.simulated.planner import IDEAS
from orchestrator.bench.fake_time import FakeTime, Happening, fake_time
from orchestrator.config import Config, Models, RealProvider
from orchestrator.daemon import installed
from orchestrator.engine import open_engine
from orchestrator.facts import ignore
from orchestrator.llm.prices import Prices
from orchestrator.llm.providers import ChatProvider, openai_sdk
from orchestrator.llm.simulated import SimulatedTransport
from orchestrator.llm.values import Provider, Reply
from orchestrator.verbs import FinishedRun, RunStatus

# What a real model's reply is taken to be, in tokens: the simulated one is curt. A page is some 14 KB.
REPLY_TOKENS: Mapping[str, int] = {"planner": 500, "builder": 4_000, "reviewer": 400, "communicator": 200}
OTHERS_REPLY_TOKENS = 500
STAGE = timedelta(seconds=20)  # a real model's time for a page
VISIT_EVERY = timedelta(minutes=30)
QUESTIONS = ("What is done already?", "How does it work?", "Who is this for?")
WISHES = (
    "Please add a dark theme",
    "Could you add a way to share the result?",
    "Please change the title to something shorter",
    "Can you add keyboard shortcuts?",
    "Please add a help text",
    "I would like a bigger font, please change it",
    "Please add a reset of everything",
    "Could you improve the colours?",
)
# A call is idle if its run left nothing but its agent's own memory. A review is more, though it is kept there: the
# planner waits for it. Mail that was read and not answered is told apart.
MEMORY = frozenset({"remember", "learn"})
READING = MEMORY | {"mark_read"}
REVIEW = "review"

CALLS = """
select c.agent_type, c.model, c.tokens_in, c.ask_hash, c.stack_id, c.error from llm_calls c order by c.created_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How many stacks live how long."""

    stacks: int
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    role: str
    tier: str
    tokens_in: int
    question: tuple[str, str, str]


async def bench_economy(config: Config, span: Span, *, db_url: str) -> dict[str, Any]:
    """Play the span on a database of one's own; one dictionary of figures. Raises StoreError."""
    agents = installed(config, ignore)
    async with (
        _model() as model,
        open_engine(config, agents=agents, observer=ignore, providers=[model]) as engine,
        fake_time(engine, db_url, stage=STAGE) as time,
    ):
        start, end = time.now, time.now + timedelta(hours=span.hours)
        await time.play(end, [*_openings(start, span.stacks), *_visits(start, end, span.stacks)])
        calls = [_read(row) for row in await time.database.fetch(CALLS)]
        artifacts = await time.database.fetchval("select count(*) from artifacts")
    return _figures(span, calls, _runs(time), artifacts) | {"usd": _priced(config.models, calls, span)} | _assumed()


@asynccontextmanager
async def _model() -> AsyncIterator[Provider]:
    """The simulated model behind the real SDK; as a model's name the ledger gets the tier that was asked for."""
    async with httpx.AsyncClient(transport=SimulatedTransport(simulate)) as http:
        sdk = openai_sdk("simulated", "http://simulated.invalid/v1", http)
        yield ChatProvider(sdk, name="simulated", settings=RealProvider(small="small", large="large"), simulated=True)


def _name(number: int) -> str:
    return f"Stack {number + 1}"


def _openings(start: datetime, stacks: int) -> Iterable[tuple[datetime, Happening]]:
    return [(start, partial(_open, number)) for number in range(stacks)]


async def _open(number: int, database: asyncpg.Connection) -> None:
    title, description = IDEAS[number % len(IDEAS)]
    stack = await database.fetchval(
        "insert into agent_stacks (participant_name, created_at) values ($1, internal.clock()) returning id",
        _name(number),
    )
    await database.execute(
        "insert into project_ideas (stack_id, title, description, created_by) values ($1, $2, $3, 'operator')",
        *(stack, title, description),
    )
    await database.execute("update agent_stacks set execution_state = 'running' where id = $1", stack)


def _visits(start: datetime, end: datetime, stacks: int) -> Iterable[tuple[datetime, Happening]]:
    """Each stack's visitors come at moments of their own, so that no two stacks are always asked together."""
    for number in range(stacks):
        at, turn = start + VISIT_EVERY * (1 + number / stacks), 0
        while at < end:
            lines = WISHES if turn % 2 else QUESTIONS
            yield at, partial(_visit, number, lines[turn // 2 % len(lines)])
            at, turn = at + VISIT_EVERY, turn + 1


async def _visit(number: int, line: str, database: asyncpg.Connection) -> None:
    stack = await database.fetchval("select id from agent_stacks where participant_name = $1", _name(number))
    await database.execute(
        "update agent_stacks set execution_state = 'running' where id = $1 and execution_state = 'idle'", stack
    )
    await database.execute(
        "insert into user_messages (stack_id, sender_name, content, created_at) values ($1, 'Ada', $2, $3)",
        *(stack, line, await database.fetchval("select internal.clock()")),
    )


def _read(row: asyncpg.Record) -> _Call:
    question = str(row["stack_id"]), row["agent_type"], row["ask_hash"]
    return _Call(role=row["agent_type"], tier=row["model"], tokens_in=row["tokens_in"], question=question)


def _runs(time: FakeTime) -> list[FinishedRun]:
    return [run for _, cycle in time.cycles for run in cycle.runs]


def _figures(span: Span, calls: list[_Call], runs: list[FinishedRun], artifacts: int) -> dict[str, Any]:
    stack_hours = span.stacks * span.hours
    asked = Counter(call.question for call in calls)
    idle, reading = (sum(len(run.calls) for run in runs if _only(run, words)) for words in (MEMORY, READING))
    total = max(1, len(calls))
    return {
        "stacks": span.stacks,
        "hours": span.hours,
        "runs": len(runs),
        "failed_runs": sum(run.status is RunStatus.FAILED for run in runs),
        "calls": len(calls),
        "artifacts": artifacts,
        "calls_per_artifact": round(len(calls) / max(1, artifacts), 2),
        "idle_calls": idle,
        "idle_call_share": round(idle / total, 4),
        "calls_that_only_read": reading - idle,
        "repeated_questions": sum(asked.values()) - len(asked),
        "calls_per_stack_hour": round(len(calls) / stack_hours, 2),
        "prompt_tokens_per_stack_hour": round(sum(call.tokens_in for call in calls) / stack_hours),
        "by_role": {role: _of_role(calls, role) for role in sorted({call.role for call in calls})},
    }


def _only(run: FinishedRun, words: frozenset[str]) -> bool:
    """Whether a run changed nothing but this."""
    reviewed = run.trace is not None and run.trace["action"] == REVIEW
    return run.status is RunStatus.COMPLETED and not reviewed and {change["op"] for change in run.changes} <= words


def _of_role(calls: list[_Call], role: str) -> dict[str, Any]:
    own = [call.tokens_in for call in calls if call.role == role]
    return {"calls": len(own), "prompt_tokens": round(sum(own) / len(own))}


def _priced(models: Models, calls: list[_Call], span: Span) -> dict[str, Any]:
    """What these calls would cost at the models of the configuration, without any discount for cached prompts."""
    prices = Prices(own=models.prices, default=models.default_price)
    found = {}
    for name, settings in (("groq", models.groq), ("openai", models.openai)):
        usd = sum((_usd(prices, name, settings, call) for call in calls), Decimal(0))
        found[name] = {
            "models": sorted({settings.small, settings.large}),
            "usd": round(float(usd), 4),
            "usd_per_stack_hour": round(float(usd) / (span.stacks * span.hours), 5),
        }
    return found


def _usd(prices: Prices, provider: str, settings: RealProvider, call: _Call) -> Decimal:
    model = settings.roles.get(call.role) or (settings.large if call.tier == "large" else settings.small)
    reply = Reply(text="", finish_reason="stop", tokens_in=call.tokens_in, tokens_out=_reply_tokens(call.role))
    return prices.cost(provider, model, reply).usd


def _reply_tokens(role: str) -> int:
    return REPLY_TOKENS.get(role, OTHERS_REPLY_TOKENS)


def _assumed() -> dict[str, Any]:
    return {
        "assumed": {
            "reply_tokens": dict(REPLY_TOKENS),
            "prompt_tokens": "bytes of the request / 3.5",
            "cached_prompt_tokens": 0,
            "visitors": f"one line a stack every {VISIT_EVERY.seconds // 60} minutes, questions and wishes in turn",
            "stage_s": STAGE.seconds,
            "model": "the simulated one; real ones err and are asked again more often",
        }
    }
