"""A real daemon that plays stacks, read over HTTP as Prometheus and Kubernetes would."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.work import Agenda
from minibase.postgres.endpoint import Login
from minibase.postgres.session import open_session
from orchestrator import web
from orchestrator.facts import LeaseLost, RunCommitted, StackSettled, StoreBack
from orchestrator.monitor.endpoints import Monitor

from .conftest import PATIENCE_S, Model, Talker, World, answering

Sample = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A daemon's monitor as seen over HTTP."""

    http: httpx.AsyncClient
    monitor: Monitor

    async def metrics(self) -> dict[Sample, float]:
        answer = await self.http.get("/metrics")
        assert answer.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float | None:
        return (await self.metrics()).get((name, frozenset(labels.items())))

    async def until_value(self, name: str, holds: Callable[[float], bool], **labels: str) -> float:
        """Scrape until the metric's value is such; returns it."""
        found: float | None = None
        with anyio.move_on_after(PATIENCE_S):
            while True:
                found = await self.value(name, **labels)
                if found is not None and holds(found):
                    return found
                await anyio.sleep(0.05)
        raise AssertionError(f"{name} stayed {found}")

    async def until(self, path: str, status: int) -> dict[str, Any]:
        """Ask until the answer has this status; returns its body."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                answer = await self.http.get(path)
                body: dict[str, Any] = answer.json()
                if answer.status_code == status:
                    return body
                await anyio.sleep(0.05)
        raise AssertionError(f"{path} did not turn {status}: {body}")


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[Watch]:
    monitor = Monitor(world.config())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with web.serve(monitor.app, listener), httpx.AsyncClient(base_url=url, timeout=20) as http:
            yield Watch(http=http, monitor=monitor)


async def test_runs_calls_and_batches_of_played_stacks_are_on_the_page(world: World) -> None:
    for number in range(5):
        await world.stack(f"Team {number}")
    agents = [Talker(turns=2), Talker(name="reviewer", turns=2)]
    # No heartbeat meanwhile: a commit that meets its locks is sent again, and counted again.
    calm = {"heartbeat_s": 30, "lease_s": 100}
    async with watching(world) as watch, world.daemon(agents, [answering()], monitor=watch.monitor, **calm):
        await world.until("select count(*) = 20 from public.agent_traces where action = 'talk'")
        await world.until("select count(*) = 5 from public.stack_status where wait_reason like 'idle%'")
        await watch.until_value("stackbeat_slots_free", lambda slots: slots == 200)
        seen = await watch.metrics()
        ready = await watch.until("/ready", 200)
        healthy = await watch.until("/health", 200)

    def value(name: str, **labels: str) -> float:
        return seen.get((name, frozenset(labels.items())), 0)

    for agent in ("planner", "reviewer"):
        assert value("stackbeat_runs_begun_total", agent=agent) == 10
        assert value("stackbeat_runs_total", agent=agent, status="completed", verdict="done") == 10
        assert value("stackbeat_trigger_to_trace_seconds_count", agent=agent) == 10
    model = {"provider": "scripted", "model": "scripted-small"}
    assert value("stackbeat_model_calls_total", **model, outcome="answered") == 20
    assert value("stackbeat_model_tokens_total", **model, direction="in") == 200
    assert value("stackbeat_model_tokens_total", **model, direction="out") == 100
    assert value("stackbeat_batch_runs_sum", verb="commit_runs") == 20
    assert value("stackbeat_batch_runs_sum", verb="begin_runs") == 20
    assert value("stackbeat_stacks_claimed_total") == value("stackbeat_cycle_duration_seconds_count") >= 10
    assert value("stackbeat_beat_lag_seconds_count") == value("stackbeat_beat_duration_seconds_count") > 0
    assert (value("stackbeat_slots"), value("stackbeat_slots_free")) == (200, 200)
    assert value("stackbeat_store_up") == 1
    assert value("stackbeat_queue_oldest_seconds", verb="commit_runs") == 0
    assert value("stackbeat_backlog_seconds") == 0
    assert ready["ready"] is True
    assert ready["problems"] == []
    assert healthy["healthy"] is True


async def test_a_trace_is_timed_from_the_moment_its_work_stood_by_the_databases_clock(world: World) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)

    class Old(Talker):
        def find_work(self, snapshot: Any, now: datetime) -> Agenda:
            return super().find_work(snapshot, since if super().find_work(snapshot, now).work else now)

    await world.stack()
    async with world.daemon([Old()], [answering()]):
        await world.until("select count(*) = 1 from public.agent_traces where action = 'talk'")
        await world.until_fact(StackSettled)
    landed = await world.admin.fetchval("select created_at from public.agent_traces where action = 'talk'")
    (committed,) = (fact for fact in world.facts if isinstance(fact, RunCommitted))
    assert committed.trigger_to_trace_ms is not None
    # The verb's time is its beginning, the row's a moment later.
    assert 0 <= (landed - since).total_seconds() - committed.trigger_to_trace_ms / 1_000 < PATIENCE_S


async def test_cadences_that_a_cycle_missed_are_counted_as_the_database_counts_them(world: World) -> None:
    async def think() -> str:
        await anyio.sleep(0.7)
        return "slow"

    stack = await world.stack()
    counted = "select overruns from public.stack_schedule where stack_id = $1"
    async with watching(world) as watch:
        async with world.daemon([Talker()], [Model(think=think)], cadence_s=0.2, monitor=watch.monitor):
            await watch.until_value("stackbeat_overruns_total", lambda cadences: cadences >= 3)
        # The daemon has left, so neither side counts on.
        assert await watch.value("stackbeat_overruns_total") == await world.admin.fetchval(counted, stack)


async def test_what_waits_is_seen_while_it_waits(world: World) -> None:
    asked, answer = anyio.Event(), anyio.Event()

    async def think() -> str:
        asked.set()
        await answer.wait()
        return "at last"

    await world.stack("Owls")
    await world.stack("Boats")
    async with (
        watching(world) as watch,
        world.daemon([Talker()], [Model(think=think)], slots=1, cadence_s=0.2, monitor=watch.monitor),
    ):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
            assert await watch.value("stackbeat_slots_free") == 0
        await watch.until_value("stackbeat_backlog_seconds", lambda seconds: seconds > 0.5)
        await watch.until_value("stackbeat_stacks_due", lambda stacks: stacks == 1)
        answer.set()
        await world.until("select count(*) = 2 from public.agent_traces where action = 'talk'")
        await watch.until_value("stackbeat_backlog_seconds", lambda seconds: seconds == 0)
        await watch.until_value("stackbeat_stacks_due", lambda stacks: stacks == 0)


async def test_a_lease_that_somebody_else_had_meanwhile_is_a_lost_one(world: World) -> None:
    asked = anyio.Event()

    async def think() -> str:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    stack = await world.stack()
    async with (
        watching(world) as watch,
        world.daemon([Talker()], [Model(think=think)], cadence_s=0.1, heartbeat_s=1, monitor=watch.monitor),
    ):
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
            while not any(isinstance(fact, LeaseLost) for fact in world.facts):
                await world.admin.execute(  # another worker took it over and settled before a heartbeat could tell
                    "update public.stack_schedule set fence = fence + 1, lease_owner = null, lease_expires_at = null, "
                    "due_at = now() where stack_id = $1",
                    stack,
                )
                await anyio.sleep(0.2)
        await watch.until_value("stackbeat_leases_lost_total", lambda leases: leases >= 1)


async def test_a_draining_daemon_is_alive_but_not_ready(world: World) -> None:
    asked, answer = anyio.Event(), anyio.Event()

    async def think() -> str:
        asked.set()
        await answer.wait()
        return "the last one"

    await world.stack()
    async with watching(world) as watch, anyio.create_task_group() as group:

        async def play_until_asked() -> None:
            async with world.daemon([Talker()], [Model(think=think)], grace_s=PATIENCE_S, monitor=watch.monitor):
                await asked.wait()

        group.start_soon(play_until_asked)
        with anyio.fail_after(PATIENCE_S):
            await asked.wait()
        draining = await watch.until("/ready", 503)
        assert "stopping" in draining["problems"][0]
        assert (await watch.until("/health", 200))["healthy"] is True
        assert await watch.value("stackbeat_stopping") == 1
        answer.set()
    assert await world.admin.fetchval("select count(*) from public.agent_traces where action = 'talk'") == 1


@pytest.mark.minibase_only("closes its database to the API")
async def test_ready_turns_503_while_the_database_is_away_and_200_again(world: World) -> None:
    await world.stack("Owls")
    async with watching(world) as watch, world.daemon([Talker()], [answering()], monitor=watch.monitor):
        await world.until("select count(*) = 1 from public.agent_traces where action = 'talk'")
        await watch.until("/ready", 200)
        await _let_the_api_in(world, False)
        away = await watch.until("/ready", 503)
        assert away["store_contact_age_s"] > 2
        assert away["problems"][0].startswith("Supabase has not answered for")
        assert (await watch.until("/health", 200))["healthy"] is True, "starting it anew would not help"
        assert await watch.value("stackbeat_store_up") == 0
        assert (await watch.value("stackbeat_store_retries_total", verb="heartbeat") or 0) > 0
        await _let_the_api_in(world, True)
        await watch.until("/ready", 200)
        await world.until_fact(StoreBack)
        assert await watch.value("stackbeat_store_up") == 1
        assert (await watch.value("stackbeat_store_away_seconds_total") or 0) > 1


async def _let_the_api_in(world: World, allowed: bool) -> None:
    """Close the database to the API, or open it again: to the daemon, the database goes away and comes back."""
    name = world.database.database
    async with open_session(world.database, Login.ADMIN, database="template1") as session:
        await session.execute(f'alter database "{name}" allow_connections {str(allowed).lower()}')
        await session.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1 and usename = $2",
            name,
            Login.API.value,
        )
