"""Who runs when; talks to the world."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from orchestrator.cycle import CycleReport


async def tick(stack_id: UUID | str) -> CycleReport:
    """Run one cycle of one stack by hand, with the settings of the environment; see ``orchestrator.daemon.tick``."""
    # Here, not above: the clients and model SDKs take seconds to import, and most commands need none of them.
    from orchestrator.daemon import tick as tick_now

    return await tick_now(stack_id)
