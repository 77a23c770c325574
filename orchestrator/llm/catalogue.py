"""Do the configured models still exist? Asked once, beside the daemon's start; nothing waits for the answer."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import anyio

from orchestrator.facts import ModelMissing, Observer
from orchestrator.llm.values import Provider

PATIENCE_S = 15.0


@runtime_checkable
class Listed(Protocol):
    """A provider that has a list of its models."""

    @property
    def models(self) -> frozenset[str]:
        """Every model that may be asked for."""

    async def list_models(self) -> frozenset[str]:
        """The names of all models there are."""


async def check_models(providers: Sequence[Provider], observer: Observer) -> None:
    """Report every configured model that its provider's list lacks."""
    async with anyio.create_task_group() as group:
        for provider in providers:
            if not provider.simulated and isinstance(provider, Listed):
                group.start_soon(_check, provider.name, provider, observer)


async def _check(name: str, provider: Listed, observer: Observer) -> None:
    there: frozenset[str] = frozenset()
    with anyio.move_on_after(PATIENCE_S):
        try:
            there = await provider.list_models()
        except Exception:  # many servers have no list, some keys may not read it: that says nothing of the models
            return
    for model in missing(provider.models, there):
        near = difflib.get_close_matches(model, there, n=1)
        observer(ModelMissing(provider=name, model=model, nearest=near[0] if near else None))


def missing(wanted: frozenset[str], there: frozenset[str]) -> list[str]:
    """What is wanted and not there; nothing where the list is empty. Ollama leaves out the tag ``latest``."""
    return sorted(model for model in wanted if there and not {model, f"{model}:latest"} & there)
