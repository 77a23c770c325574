"""What a daemon's breakers do reaches the table that operators see, also where the database was away meanwhile."""

from __future__ import annotations

from typing import Any

from orchestrator.facts import BreakerClosed, BreakerOpened, ModelMissing
from orchestrator.llm.values import Fault, ProviderError

from .conftest import Model, Talker


async def test_an_open_breaker_is_a_row_until_it_closes_and_the_daemon_leaves(world: Any) -> None:
    failing = True

    async def think() -> str:
        if failing:
            raise ProviderError(Fault.AWAY, "429 slow down", retry_after_s=3)
        return "hello"

    await world.stack()
    async with world.daemon([Talker()], [Model(think=think)], cadence_s=1):
        await world.until(
            "select true from model_breakers where provider = 'scripted' and model = 'scripted-small' "
            "and state = 'open' and error = '429 slow down' and open_until > opened_at"
        )
        failing = False
        await world.until("select true from model_breakers where state = 'closed' and closed_at >= opened_at")
        await world.until_fact(BreakerClosed)
    assert await world.admin.fetchval("select count(*) from model_breakers") == 0, "it left"
    assert [fact.rest_s for fact in world.facts if isinstance(fact, BreakerOpened)] == [3]


class Lister(Model):
    """A real provider's list of models, as far as the daemon can see."""

    models = frozenset({"scripted-small", "scripted-large"})

    async def list_models(self) -> frozenset[str]:
        return frozenset({"scripted-small", "scripted-larger"})


async def test_a_model_that_is_gone_is_said_at_the_start(world: Any) -> None:
    async def think() -> str:
        return "hello"

    async with world.daemon([Talker()], [Lister(think=think, simulated=False)]):
        await world.until_fact(ModelMissing)
    assert [fact for fact in world.facts if isinstance(fact, ModelMissing)] == [
        ModelMissing(provider="scripted", model="scripted-large", nearest="scripted-larger")
    ]
