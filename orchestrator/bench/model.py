"""The bench's model: an in-process sleep and a canned reply, or the same behind the real SDK."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from orchestrator.config import RealProvider
from orchestrator.llm.providers import ChatProvider, openai_sdk
from orchestrator.llm.simulated import MODEL, SimulatedTransport
from orchestrator.llm.values import Provider, Reply, Request, Tier

LINE = "all is well and the work goes on"
MARGIN_S = 60.0
NAME = "canned"
MODEL_NAME = "canned-v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CannedModel:
    """Sleeps uniformly between two bounds and always says the same; counts as simulated, costs nothing."""

    low: float
    high: float
    name: str = NAME
    simulated: bool = True

    @property
    def timeout_s(self) -> float:
        return self.high + MARGIN_S

    def model(self, tier: Tier, role: str) -> str:
        return MODEL_NAME

    async def complete(self, request: Request) -> Reply:
        if self.high > 0:
            await anyio.sleep(random.uniform(self.low, self.high))
        return Reply(text=f'{{"line": "{LINE}"}}', finish_reason="stop", tokens_in=500, tokens_out=50)


@asynccontextmanager
async def bench_model(low: float, high: float, *, wire: bool) -> AsyncIterator[Provider]:
    """The canned model in-process, or through the SDK's own code and HTTP values (``wire``)."""
    if not wire:
        yield CannedModel(low=low, high=high)
        return

    def simulate(role: str, context: dict[str, Any], seed: str) -> Mapping[str, Any]:
        return {"line": LINE}

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(transport=SimulatedTransport(simulate, low=low, high=high), limits=limits) as http:
        settings = RealProvider(small=MODEL, large=MODEL, timeout_s=high + MARGIN_S)
        sdk = openai_sdk("bench", "http://bench.invalid/v1", http)
        yield ChatProvider(sdk, name="simulated", settings=settings, simulated=True)
