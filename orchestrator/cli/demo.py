"""The demo stacks of supabase/seed.sql: played by the first `up`, so that there is something to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from orchestrator.cli.door import connect

if TYPE_CHECKING:
    from orchestrator.cli.target import Target

DEMO_IDS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))


def play_demo(target: Target, *, always: bool) -> list[str]:
    """Play the idle demo stacks; returns the names of those played.

    Only on a first start, when no stack was ever played, unless `always`: who stopped them must not find them running.
    """
    with connect(target) as client:
        stacks = client.table("agent_stacks")
        if not always and stacks.select("id").not_.is_("started_at", "null").limit(1).execute().data:
            return []
        idle = stacks.update({"execution_state": "running"}).in_("id", DEMO_IDS).eq("execution_state", "idle")
        played = cast("list[dict[str, Any]]", idle.execute().data)
    return sorted(str(row["participant_name"]) for row in played)
