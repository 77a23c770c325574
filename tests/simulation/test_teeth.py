"""The simulation notices when a guard is missing: each of these breaks one, and some history must break a rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from simulation.database import Database, open_database
from simulation.history import find_first

from minibase.postgres.server import Server

WITHIN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """Replaces pieces of one SQL function; ``shows`` is how a finding about it may begin.

    Not here: a settlement that leaves a run its worker does not know of. One history in some thousands comes upon it;
    ``tests/database/test_late_begins.py`` makes it happen.
    """

    function: str
    pieces: tuple[tuple[str, str], ...]
    shows: tuple[str, ...]


SABOTAGES = {
    "a commit whose fence is old lands": Sabotage(
        function="internal.judge_commits",
        pieces=(
            ("when h.fence <> r.fence then", "when false then"),
            ("when e.status = 'abandoned' then 'stale'", "when false then 'stale'"),
            ("when e.status <> 'running' then e.status", "when e.status = 'failed' then e.status"),
        ),
        shows=("run ", "a memory that counts", "an artifact made from an older one", "two traces of one run"),
    ),
    "a run told twice lands twice": Sabotage(
        function="internal.judge_commits",
        pieces=(
            ("when e.status in ('completed', 'deferred') then 'done'", "when false then 'done'"),
            ("when e.status <> 'running' then e.status", "when false then e.status"),
        ),
        shows=("two traces of one run", "an effect of a run that is failed", "a memory that counts", "run "),
    ),
    "a dead daemon's todos stay in progress": Sabotage(
        function="internal.release_work",
        pieces=(("and status = 'in_progress'", "and false"),),
        shows=("a todo in progress without a live run",),
    ),
    "people's wakes make nothing due": Sabotage(
        function="internal.wake",
        pieces=(("set due_at = least(due_at, internal.clock()), wakes", "set wakes"),),
        shows=("lost work",),
    ),
    "a lease is no obstacle": Sabotage(
        function="internal.claim_stacks",
        pieces=(("where coalesce(s.lease_expires_at, '-infinity') <= t", "where true"),),
        shows=("stack ",),
    ),
    "a worker's late claim takes over from its own runs": Sabotage(
        function="internal.claim_stacks",
        pieces=(("s.lease_owner is distinct from me or s.claim is null", "true"),),
        shows=("run ",),
    ),
    "a heartbeat gives up what its worker lives by": Sabotage(
        function="internal.release_leases",
        pieces=(("l.id = h.stack_id and l.fence = h.fence", "false"),),
        shows=("run ",),
    ),
    "whoever ends a cycle claims what is somebody else's": Sabotage(
        function="public.commit_runs",
        pieces=(("claimed := internal.claim_stacks(",
                 "update public.stack_schedule set lease_expires_at = t, due_at = t "
                 "where lease_owner <> (request ->> 'worker')::uuid; claimed := internal.claim_stacks("),),
        shows=("stack ", "run "),
    ),
    "a ledger row is refused with its run": Sabotage(
        function="internal.keep_ledger",
        pieces=(("from unnest(runs) r\n    cross join", "from unnest(runs) r join public.agent_executions e "
                 "on e.id = r.run_id and e.status = 'running' cross join"),),
        shows=("call ", "model call "),
    ),
}  # fmt: skip


@contextmanager
def sabotaged(server: Server, name: str, sabotage: Sabotage) -> Iterator[Database]:
    with open_database(server.endpoint, name) as database:
        query = "select pg_get_functiondef(oid) from pg_proc where oid = %s::regproc"
        [(definition,)] = database.ask(query, (sabotage.function,))
        for piece, instead in sabotage.pieces:
            assert piece in definition, f"{sabotage.function} has no {piece!r}: fit this test to it"
            definition = definition.replace(piece, instead)
        database.watcher.execute(definition)
        yield database


@pytest.mark.parametrize("what", SABOTAGES)
def test_a_missing_guard_is_noticed(what: str, server: Server) -> None:
    sabotage = SABOTAGES[what]
    with sabotaged(server, f"teeth_{list(SABOTAGES).index(what)}", sabotage) as database:
        verdict = find_first(range(WITHIN), database)
    assert verdict is not None, f"{WITHIN} histories did not notice: {what}"
    print(f"{what}: seed {verdict.seed}, {verdict.findings[0]}")
    first = verdict.findings[0].partition(": ")[2]
    assert first.startswith(sabotage.shows), verdict.explain()
