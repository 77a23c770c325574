"""One run in a batch of 50 violates a constraint: it fails and says why, the others land."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from faults.place import Place
from faults.promises import answered, assert_kept
from faults.provider import Call, Provider
from faults.wire import Side, Wire
from processes import eventually

from orchestrator.committer import COMMIT_LIMITS

BATCH = COMMIT_LIMITS.items
# While so many calls are under way, what is ready gathers for the next one.
AHEAD = COMMIT_LIMITS.calls


@pytest.fixture
def constraint(place: Place) -> Iterator[None]:
    place.sql("alter table messages add constraint no_poison check (content not like '%%poison%%')")
    yield
    place.sql("alter table messages drop constraint no_poison")


@pytest.mark.usefixtures("constraint")
def test_the_others_land_and_the_bad_one_is_tried_again(
    place: Place, provider: Provider, wire: Wire, daemon: Any, tmp_path: Any
) -> None:
    def poison(call: Call, reply: dict[str, Any]) -> dict[str, Any]:
        first = [one for one in provider.calls if one.stack == "Bad"][:1] == [call]
        return reply | {"answer": "poison"} if first else reply

    stacks = [place.stack(f"Stack {n}", visitor=True, todos=0, state="idle") for n in range(BATCH + AHEAD - 1)]
    stacks.append(place.stack("Bad", visitor=True, todos=0, state="idle"))
    for stack in stacks:  # a todo that nobody may begin yet, so that the planner sees no empty backlog
        place.sql("insert into todos (stack_id, content, available_at) values (%s, 'Later', now() + '1 hour')", stack)
    provider.rewrite = poison
    provider.hold()
    daemon("daemon", wire=wire)
    place.move("running", *stacks)
    eventually(lambda: len(provider.open) == BATCH + AHEAD, within=30, what="all communicators ask")
    commits = wire.block(Side.BEFORE, "commit_runs")
    for under_way in range(AHEAD):
        provider.release_some(lambda call: call.stack != "Bad", 1)
        eventually(lambda seen=under_way: len(commits.reached) > seen, within=20, what="another commit under way")
    provider.release()
    log = tmp_path / "daemon.log"
    eventually(
        lambda: log.read_text().count('"fact":"CallAttempted"') == BATCH + AHEAD, within=30, what="all have replies"
    )
    wire.lift(commits)
    bad = str(place.one("select id from agent_executions where stack_id = %s", stacks[-1]))
    place.until("select status = 'failed' from agent_executions where id = %s", bad)
    batches = [{run["run_id"] for run in asked["runs"]} for verb, asked in wire.forwarded if verb == "commit_runs"]
    assert [len(batch) for batch in batches if bad in batch] == [BATCH]
    assert "no_poison" in place.one("select error from agent_executions where id = %s", bad)
    answered(place, len(stacks))
    assert place.one("select count(*) from agent_executions where status = 'failed'") == 1
    assert_kept(place, provider)
