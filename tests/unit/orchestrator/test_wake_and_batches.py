from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio
import pytest

from orchestrator.batch import Batcher, Limits
from orchestrator.fleet import Fleet, Halt, LiveCycle
from orchestrator.signals import Signal, apply_signal, read_signal
from orchestrator.wake import Wake

STACK = UUID(int=1)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def test_many_rings_are_one_wake() -> None:
    wake = Wake()
    for cause in ("first", "second", "third"):
        wake.ring(cause)
    assert await wake.wait(10) == "first"
    assert await wake.wait(0.01) == "timer"


async def test_a_ring_ends_a_wait_that_has_begun() -> None:
    wake, heard = Wake(), []

    async def sleeper() -> None:
        heard.append(await wake.wait(60))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(sleeper)
            await anyio.lowlevel.checkpoint()
            wake.ring("signal")
    assert heard == ["signal"]


async def test_a_nearer_time_shortens_a_wait_and_a_later_one_does_not_lengthen_it() -> None:
    wake = Wake()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(wake.wait, 60)
            await anyio.lowlevel.checkpoint()
            wake.within(0.01)
            wake.within(50)
            wake.within(None)
    wake.within(100)
    assert await wake.wait(0.01) == "timer"


async def test_submissions_that_come_together_share_a_call_within_the_limits() -> None:
    calls: list[list[int]] = []

    async def send(items: Sequence[int]) -> Sequence[int]:
        calls.append(list(items))
        return [item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(send, Limits(items=4, size=100, calls=1))
    results: dict[int, int] = {}

    async def submit(item: int, size: int) -> None:
        results[item] = await batcher.submit(item, size=size)

    async with anyio.create_task_group() as group:
        group.start_soon(batcher.run)
        async with anyio.create_task_group() as submitters:
            for item in range(10):
                submitters.start_soon(submit, item, 90 if item == 9 else 20)
        group.cancel_scope.cancel()
    assert results == {item: item * 2 for item in range(10)}
    assert [len(call) for call in calls] == [4, 4, 1, 1]


@dataclass
class Slow:
    """Calls that stay under way until they are let go."""

    calls: list[list[int]] = field(default_factory=list)
    answer: anyio.Event = field(default_factory=anyio.Event)

    async def send(self, items: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(items))
        await self.answer.wait()
        return items

    async def until(self, calls: int) -> None:
        with anyio.fail_after(5):
            while len(self.calls) < calls:  # noqa: ASYNC110 - nothing else happens meanwhile
                await anyio.sleep(0.001)


@asynccontextmanager
async def gathering(slow: Slow, patience_s: float) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """A batcher of three items a call with one call under way; yields what submits an item and lets it be taken."""
    batcher: Batcher[int, int] = Batcher(slow.send, Limits(items=3, size=100, patience_s=patience_s))
    async with anyio.create_task_group() as group:
        group.start_soon(batcher.run)
        async with anyio.create_task_group() as submitters:

            async def submit(item: int) -> None:
                submitters.start_soon(batcher.submit, item)
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()

            await submit(0)
            assert slow.calls == [[0]], "the first one waits for nobody"
            yield submit
            slow.answer.set()
        group.cancel_scope.cancel()


async def test_what_comes_while_a_call_is_under_way_shares_the_next_one() -> None:
    slow = Slow()
    async with gathering(slow, patience_s=60) as submit:
        await submit(1)
        await submit(2)
        assert slow.calls == [[0]]
        slow.answer.set()
        await slow.until(2)
    assert slow.calls == [[0], [1, 2]]


async def test_a_full_call_waits_for_no_other() -> None:
    slow = Slow()
    async with gathering(slow, patience_s=60) as submit:
        for item in (1, 2, 3, 4):
            await submit(item)
        assert slow.calls == [[0], [1, 2, 3]]
    assert slow.calls == [[0], [1, 2, 3], [4]]


async def test_a_call_that_takes_long_is_not_waited_for() -> None:
    slow = Slow()
    async with gathering(slow, patience_s=0.01) as submit:
        await submit(1)
        await slow.until(2)
    assert slow.calls == [[0], [1]]


async def test_an_error_reaches_every_submitter_of_its_call_and_nobody_else() -> None:
    async def send(items: Sequence[int]) -> Sequence[int]:
        if 13 in items:
            raise LookupError("unlucky")
        return items

    batcher: Batcher[int, int] = Batcher(send, Limits(items=10, size=100))
    async with anyio.create_task_group() as group:
        group.start_soon(batcher.run)
        with pytest.raises(LookupError):
            await batcher.submit(13)
        assert await batcher.submit(7) == 7
        group.cancel_scope.cancel()


async def test_the_oldest_item_is_known_from_its_coming_to_its_result_or_its_end() -> None:
    asked, answer = anyio.Event(), anyio.Event()

    async def send(items: Sequence[int]) -> Sequence[int]:
        asked.set()
        await answer.wait()
        return items

    batcher: Batcher[int, int] = Batcher(send, Limits(items=1, size=100, calls=1, waiting=1))
    assert batcher.oldest_s() == 0
    async with anyio.create_task_group() as group:
        group.start_soon(batcher.run)
        async with anyio.create_task_group() as submitters:
            submitters.start_soon(batcher.submit, 1)
            await asked.wait()
            await anyio.sleep(0.02)
            with anyio.move_on_after(0.01):
                await batcher.submit(2)  # gives up before there is room for it
            assert batcher.oldest_s() >= 0.03
            answer.set()
        assert batcher.oldest_s() == 0
        group.cancel_scope.cancel()


def live_cycle() -> LiveCycle:
    return LiveCycle(stack_id=STACK, fence=3, claimed_at=NOW)


async def test_a_halt_cancels_model_calls_and_those_that_come_later() -> None:
    live, reached = live_cycle(), []

    async def call() -> None:
        with live.cancellable():
            await anyio.sleep_forever()
        reached.append(True)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.lowlevel.checkpoint()
            live.halt(Halt.STOPPED)
        await call()
    assert reached == [True, True]
    live.halt(Halt.SHUTDOWN)
    assert live.halted is Halt.STOPPED, "the first cause stays"


async def test_slots_and_the_return_of_a_stack_under_a_new_fence() -> None:
    fleet, old, new = Fleet(1), live_cycle(), LiveCycle(stack_id=STACK, fence=4, claimed_at=NOW)
    assert not fleet.enter(old)
    assert fleet.free == 0
    assert fleet.enter(new), "somebody's work was cut short"
    assert old.halted is Halt.LEASE_LOST
    fleet.leave(old)
    assert fleet.get(STACK) is new
    fleet.leave(new)
    assert fleet.free == 1
    with anyio.fail_after(1):
        await fleet.drained()


@pytest.mark.parametrize(
    ("state", "age", "halted", "rings"),
    [
        ("running", 0, None, True),
        ("paused", 0, None, False),
        ("idle", 0, None, False),
        ("stopped", 0, Halt.STOPPED, False),
        ("stopped", 60, None, False),
        (None, 0, Halt.DELETED, False),
    ],
)
async def test_what_a_signal_does(state: str | None, age: int, halted: Halt | None, rings: bool) -> None:
    fleet, wake, live = Fleet(5), Wake(), live_cycle()
    fleet.enter(live)
    apply_signal(Signal(stack_id=STACK, execution_state=state, changed_at=NOW - timedelta(seconds=age)), fleet, wake)
    assert live.halted is halted
    assert (await wake.wait(0.001) == "signal") is rings


def test_changes_that_say_nothing_usable_are_no_signals() -> None:
    base = {"schema": "public", "table": "agent_stacks", "commit_timestamp": "", "errors": None, "columns": []}
    row = {"id": str(STACK), "execution_state": "running", "updated_at": "2026-11-22T00:00:00+00:00"}
    good = read_signal({"data": {**base, "type": "UPDATE", "record": row}, "ids": [1]})  # type: ignore[typeddict-item]
    assert good == Signal(stack_id=STACK, execution_state="running", changed_at=NOW)
    gone = read_signal({"data": {**base, "type": "DELETE", "old_record": {"id": str(STACK)}}, "ids": [1]})  # type: ignore[typeddict-item]
    assert gone == Signal(stack_id=STACK, execution_state=None, changed_at=None)
    assert read_signal({"data": {**base, "type": "UPDATE", "record": {}}, "ids": [1]}) is None  # type: ignore[typeddict-item]
