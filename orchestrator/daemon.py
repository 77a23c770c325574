"""The daemon from start to drained stop, and one cycle by hand through the same path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import anyio

from agents.agent import Agent
from orchestrator.beat import Loop
from orchestrator.config import Config
from orchestrator.cycle import CycleReport, run_cycle
from orchestrator.engine import Engine, Project, open_engine
from orchestrator.facts import DaemonStarted, DaemonStopped, DaemonStopping, Observer, ignore
from orchestrator.fleet import Halt, LiveCycle
from orchestrator.llm.catalogue import check_models
from orchestrator.llm.values import Provider
from orchestrator.monitor.vitals import ReadVitals
from orchestrator.prompts import with_prompts
from orchestrator.registry import load_agents
from orchestrator.signals import Listener
from orchestrator.store import StoreError, StoreFault
from orchestrator.tracing import cycle_span

START_ATTEMPTS = 4
START_WAIT_S = 0.5
LAST_COMMITS_S = 3.0
FAREWELL_S = 1.0


class TickError(Exception):
    """The stack cannot be ticked by hand now; the text says why."""


async def run_daemon(
    config: Config,
    *,
    observer: Observer,
    agents: Mapping[str, Agent] | None = None,
    providers: Sequence[Provider] | None = None,
    project: Project | None = None,
    watch: Callable[[ReadVitals], None] = lambda _: None,
) -> None:
    """Run until cancelled, then drain: claim nothing more, let runs finish within ``grace_s``, cancel the rest.

    Raises StoreError if the database cannot be used at the start (unreachable, wrong key, migrations missing),
    RegistryError for a broken plug-in and ConfigError for a prompt that cannot be used or a model that is named for an
    agent nobody has installed. ``agents``, ``providers`` and ``project`` replace the installed and the configured ones.
    ``watch`` is given, once, what tells how the daemon's parts are.
    """
    agents = installed(config, observer) if agents is None else agents
    async with open_engine(config, agents=agents, observer=observer, providers=providers, project=project) as engine:
        watch(engine.vitals)
        await _greet(engine)
        observer(_started(config, engine))
        stopping = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(_watch_cancellation, stopping)
            # Our own cancellation asks for a drain; it must not cut the drain itself short.
            with anyio.CancelScope(shield=True):
                await _serve(config, engine, stopping, observer, project)
            group.cancel_scope.cancel()


def installed(config: Config, observer: Observer) -> Mapping[str, Agent]:
    """The installed agents with the configured prompts. Raises RegistryError and ConfigError."""
    return with_prompts(load_agents(), config.agents, observer)


async def _watch_cancellation(stopping: anyio.Event) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        stopping.set()


async def _greet(engine: Engine) -> None:
    """The first call: a database that is just starting gets a moment, a wrong key or schema gets none."""
    for attempt in range(START_ATTEMPTS):
        try:
            await engine.store.check_version()
            await engine.heart.beat()
        except StoreError as error:
            if error.fault is not StoreFault.AWAY or attempt == START_ATTEMPTS - 1:
                raise
            engine.store.report_away("verbs_version", error, START_WAIT_S)
            await anyio.sleep(START_WAIT_S)
        else:
            return


async def _serve(
    config: Config, engine: Engine, stopping: anyio.Event, observer: Observer, project: Project | None
) -> None:
    async with anyio.create_task_group() as group:
        loop = Loop(
            store=engine.store,
            fleet=engine.fleet,
            crew=engine.crew,
            wake=engine.wake,
            heart=engine.heart,
            rhythm=engine.rhythm,
            group=group,
        )
        engine.relay.stopping = stopping
        group.start_soon(engine.committer.run)
        group.start_soon(engine.heart.run)
        group.start_soon(engine.sweeper.run)
        group.start_soon(engine.bulletin.run)
        group.start_soon(engine.audit.run)
        group.start_soon(check_models, engine.models, observer)
        group.start_soon(_listen, config, engine, observer, project)
        group.start_soon(loop.run, stopping)
        await stopping.wait()
        await _drain(config, engine, observer)
        abandoned = len(engine.fleet)
        group.cancel_scope.cancel()
    # Last, so that no heartbeat follows. A store that is gone does not matter: leases expire by themselves.
    with anyio.move_on_after(FAREWELL_S), suppress(StoreError):
        await engine.heart.beat(stopping=True)
    observer(DaemonStopped(worker=str(engine.worker), abandoned=abandoned))


async def _listen(config: Config, engine: Engine, observer: Observer, project: Project | None) -> None:
    if project is not None:
        await project.listen(engine.fleet, engine.wake)
        return
    listener = Listener(
        url=config.supabase_url,
        key=config.service_key.get_secret_value(),
        fleet=engine.fleet,
        wake=engine.wake,
        observer=observer,
    )
    await listener.run()


async def _drain(config: Config, engine: Engine, observer: Observer) -> None:
    observer(DaemonStopping(running=len(engine.fleet), grace_s=config.grace_s))
    with anyio.move_on_after(config.grace_s):
        await engine.fleet.drained()
    engine.fleet.halt_all(Halt.SHUTDOWN)
    with anyio.move_on_after(LAST_COMMITS_S):
        await engine.fleet.drained()


def _started(config: Config, engine: Engine) -> DaemonStarted:
    return DaemonStarted(
        worker=str(engine.worker),
        url=config.supabase_url,
        providers=engine.chain.names,
        simulated=engine.chain.simulated,
        agents=tuple(engine.crew.agents),
        slots=config.slots,
        cadence_s=config.cadence_s,
    )


async def tick(
    stack_id: UUID | str,
    *,
    config: Config | None = None,
    observer: Observer = ignore,
    agents: Mapping[str, Agent] | None = None,
    providers: Sequence[Provider] | None = None,
) -> CycleReport:
    """Run one cycle of one stack by hand, whatever its state, through the daemon's own path.

    Raises TickError if there is no such stack or another daemon is working on it, StoreError, ConfigError,
    RegistryError.
    """
    try:
        wanted = UUID(str(stack_id))
    except ValueError:
        raise TickError(f"{stack_id!r} is not a stack id: `stackbeat ls` prints them") from None
    config = Config.load() if config is None else config
    agents = installed(config, observer) if agents is None else agents
    async with open_engine(config, agents=agents, observer=observer, providers=providers) as engine:
        await engine.store.check_version()
        await engine.audit.look()
        claim = await engine.store.claim(engine.rhythm.terms(1), stack_id=wanted)
        if not claim.stacks:
            raise TickError(f"stack {wanted} does not exist or a daemon is working on it right now: try again later")
        (claimed,) = claim.stacks
        live = LiveCycle(stack_id=claimed.stack_id, fence=claimed.fence, claimed_at=claim.now)
        engine.fleet.enter(live)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.committer.run)
            group.start_soon(engine.heart.run)
            with cycle_span(claimed):
                report = await run_cycle(claimed, claim.around, live, engine.crew)
            group.cancel_scope.cancel()
        await engine.heart.beat(stopping=True)
        return report
