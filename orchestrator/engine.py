"""The composition root of the daemon: which parts there are and what each of them is given."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import anyio
from supabase import AsyncClient

from agents.agent import Agent
from agents.simulated import simulate
from orchestrator.audit import Audit
from orchestrator.bulletin import Bulletin
from orchestrator.claims import Rhythm
from orchestrator.committer import Committer
from orchestrator.config import Config, check_roles, check_savers
from orchestrator.cooldown import Cooldowns
from orchestrator.cycle import Crew
from orchestrator.facts import Observer, tell
from orchestrator.fleet import Fleet
from orchestrator.llm.chain import Chain
from orchestrator.llm.prices import Prices
from orchestrator.llm.providers import open_providers
from orchestrator.llm.values import Provider
from orchestrator.monitor.vitals import Vitals
from orchestrator.pulse import Heart
from orchestrator.relay import Relay
from orchestrator.retention import Sweeper
from orchestrator.saving import Savings
from orchestrator.store import Store, open_store
from orchestrator.wake import Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A Supabase project given from outside: what takes the verbs, and what tells of changes until it is cancelled."""

    client: AsyncClient
    listen: Callable[[Fleet, Wake], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The parts that a daemon and a tick by hand have in common."""

    worker: uuid.UUID
    store: Store
    models: Sequence[Provider]
    chain: Chain
    bulletin: Bulletin
    fleet: Fleet
    wake: Wake
    committer: Committer
    crew: Crew
    heart: Heart
    relay: Relay
    sweeper: Sweeper
    audit: Audit
    rhythm: Rhythm

    def vitals(self) -> Vitals:
        """How the parts are right now."""
        return Vitals(
            slots=self.fleet.slots,
            slots_free=self.fleet.free,
            due=self.heart.due,
            begin_wait_s=self.committer.begins_wait_s(),
            commit_wait_s=self.committer.commits_wait_s(),
            backlog_s=self.store.contact.backlog_s(),
            contact_age_s=self.store.contact.age_s(),
            loop_age_s=self.wake.age_s(),
        )


@asynccontextmanager
async def open_engine(
    config: Config,
    *,
    agents: Mapping[str, Agent],
    observer: Observer,
    providers: Sequence[Provider] | None = None,
    project: Project | None = None,
) -> AsyncIterator[Engine]:
    """Everything wired and nothing running yet. ``providers`` and ``project`` replace what is configured.

    Raises ConfigError where the configuration names an agent that is not there.
    """
    worker = uuid.uuid4()
    check_savers(config.budget, agents)
    if providers is None:
        check_roles(config.models, agents)
    async with (
        _store(config, project, worker, observer) as store,
        _models(config, providers) as models,
    ):
        bulletin = Bulletin(store=store)
        chain = Chain(
            models,
            deadline_s=config.models.deadline_s,
            patience_s=config.models.patience_s,
            observer=tell(observer, bulletin.observe),
            prices=Prices(own=config.models.prices, default=config.models.default_price),
            clock=anyio.current_time,
        )
        rhythm = Rhythm(cadence_s=config.cadence_s, lease_s=config.lease_s, fleet_slots=config.fleet_slots)
        fleet, wake = Fleet(config.slots), Wake()
        heart = Heart(
            store=store,
            fleet=fleet,
            observer=observer,
            name=config.name,
            version=version("stackbeat"),
            every_s=config.heartbeat_s,
            lease_ms=rhythm.lease_ms,
            wake=wake,
        )
        relay = Relay(fleet=fleet, heart=heart, wake=wake, rhythm=rhythm, observer=observer)
        committer = Committer(
            store,
            cadence_ms=rhythm.cadence_ms,
            observer=observer,
            relay=relay,
            take_limits=chain.take_limits,
        )
        savings = Savings(config.budget.degrade)
        crew = Crew(
            agents=agents,
            chain=chain,
            committer=committer,
            cooldowns=Cooldowns(),
            savings=savings,
            stage_size=config.stage_size,
            observer=observer,
        )
        yield Engine(
            worker=worker,
            store=store,
            models=models,
            chain=chain,
            bulletin=bulletin,
            fleet=fleet,
            wake=wake,
            committer=committer,
            crew=crew,
            heart=heart,
            relay=relay,
            sweeper=Sweeper(store=store, retention=config.retention, observer=observer),
            audit=Audit(
                store=store,
                savings=savings,
                observer=observer,
                every_s=config.budget.every_s,
                wanted=bool(config.budget.degrade),
            ),
            rhythm=rhythm,
        )


@asynccontextmanager
async def _store(config: Config, given: Project | None, worker: uuid.UUID, observer: Observer) -> AsyncIterator[Store]:
    if given is not None:
        yield Store(given.client, url=config.supabase_url, worker=worker, observer=observer)
        return
    async with open_store(config, worker=worker, observer=observer) as store:
        yield store


@asynccontextmanager
async def _models(config: Config, given: Sequence[Provider] | None) -> AsyncIterator[Sequence[Provider]]:
    if given is not None:
        yield given
        return
    async with open_providers(config.models, simulate) as configured:
        yield configured
