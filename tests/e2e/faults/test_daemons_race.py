"""Two daemons race for 50 stacks: each stack is worked on by one of them at a time, and both work."""

from __future__ import annotations

from typing import Any

from faults.place import Place
from faults.promises import answered, assert_kept, built
from faults.provider import Provider


def test_two_daemons_share_50_stacks_without_treading_on_each_other(
    place: Place, provider: Provider, daemon: Any
) -> None:
    provider.latency = (0.1, 0.6)
    stacks = [place.stack(f"Stack {n}", visitor=True, state="idle") for n in range(50)]
    for name in ("one", "two"):
        daemon(name, STACKBEAT_SLOTS="16")
    place.move("running", *stacks)
    built(place, 50)
    answered(place, 50)
    assert place.one("select count(distinct worker_id) from agent_executions") == 2
    assert place.one("select count(*) from agent_executions where status not in ('completed', 'running')") == 0
    assert_kept(place, provider)
