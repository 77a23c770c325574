"""The loop the histories run on: time jumps, order is kept, a frozen owner stands still."""

import asyncio
import contextvars

import anyio
import pytest
from simulation.loop import OWNER, Owner, StuckError, VirtualLoop, virtual_loop


def test_an_hour_passes_at_once_and_timers_keep_their_order() -> None:
    heard: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        heard.append((name, anyio.current_time()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(sleeper, "late", 3600)
            group.start_soon(sleeper, "soon", 1)
            group.start_soon(sleeper, "soon, too", 1)

    with virtual_loop() as loop:
        loop.run_until_complete(main())
    assert heard == [("soon", 1.0), ("soon, too", 1.0), ("late", 3600.0)]


def test_a_frozen_owner_stands_still_with_its_children_and_timers_and_catches_up_when_thawed() -> None:
    ticks: list[float] = []

    async def ticking() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 30)
            while len(ticks) < 4:
                await anyio.sleep(1)
                ticks.append(anyio.current_time())
            group.cancel_scope.cancel()

    async def main(loop: VirtualLoop) -> None:
        owner, context = Owner(), contextvars.copy_context()
        context.run(OWNER.set, owner)
        task = loop.create_task(ticking(), context=context)
        await asyncio.sleep(2.5)
        loop.freeze(owner)
        await asyncio.sleep(10)
        assert ticks == [1.0, 2.0]
        loop.thaw(owner)
        await task

    with virtual_loop() as loop:
        loop.run_until_complete(main(loop))
    assert ticks == [1.0, 2.0, 12.5, 13.5]


def test_waiting_for_what_can_never_happen_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with virtual_loop() as loop:
        task = loop.create_task(main())
        with pytest.raises(StuckError, match="nothing is left"):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
