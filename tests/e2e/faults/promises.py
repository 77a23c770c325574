"""What holds after every fault, judged on the tables and on what the provider counted."""

from __future__ import annotations

from datetime import datetime

from faults.place import Place
from faults.provider import Provider
from processes import eventually

TAKE_OVER_S = 1.0

# Each counts what must not be.
NEVER = {
    "two runs of one agent of a stack at a time": """
        select count(*) from agent_executions a join agent_executions b
          on a.stack_id = b.stack_id and a.agent_type = b.agent_type and a.id < b.id
        where (a.fence = b.fence or (a.status <> 'abandoned' and b.status <> 'abandoned'))
          -- visitors are answered beside each other, never one line twice
          and not (a.item ->> 'kind' = 'visitor' and b.item ->> 'kind' = 'visitor' and a.work_key <> b.work_key
            and a.fence = b.fence)
          and tstzrange(a.started_at, a.completed_at) && tstzrange(b.started_at, b.completed_at)""",
    "a gap in the versions": """
        select count(*) from (
          select from artifacts group by stack_id having max(version) <> count(*)) gaps""",
    "a todo built twice": "select count(*) from (select from artifacts group by todo_id having count(*) > 1) twice",
    "a visitor answered twice": """
        select abs((select count(*) from messages where message_type = 'visitor')
                   - (select count(*) from user_messages where status = 'answered'))""",
    "a run with two traces": """
        select count(*) from (select from agent_traces group by run_id having count(*) > 1) twice""",
    "an effect of a run that did not complete": """
        select count(*) from agent_executions e where e.status <> 'completed' and (
          exists (select from artifacts x where x.run_id = e.id)
          or exists (select from messages x where x.run_id = e.id)
          or (e.status <> 'failed' and exists (select from agent_traces x where x.run_id = e.id)))""",
    "a completed run without its trace": """
        select count(*) from agent_executions e where e.status = 'completed'
          and not exists (select from agent_traces x where x.run_id = e.id)""",
    "work that failed for good": """
        select (select count(*) from todos where status = 'failed')
             + (select count(*) from user_messages where status = 'failed')""",
}
# While nobody works, nothing may be owned: these are lost work items.
NEVER_AT_REST = {
    "a run that never ended": "select count(*) from agent_executions where status = 'running'",
    "a todo that nobody works on": "select count(*) from todos where status = 'in_progress'",
    "a visitor's line that nobody answers": "select count(*) from user_messages where status = 'claimed'",
    "a message that nobody reads": "select count(*) from message_reads where status = 'claimed'",
}
AT_REST = """
    select count(*) = 0 from stack_schedule s join agent_stacks a on a.id = s.stack_id
    where s.lease_expires_at > clock_timestamp() or exists (
      select from agent_executions e where e.stack_id = a.id and e.status = 'running')"""

# What daemons reported, and the runs that nobody reported of: their worker was lost, and so is what they may have cost.
KNOWN = "select count(*) from llm_calls where coalesce(error, '') not like 'lost%%'"
LOST = "select count(*) from llm_calls where error like 'lost%%'"
SILENT = """
    select count(*) from agent_executions e where e.status = 'abandoned' and not exists (
      select from llm_calls c where c.run_id = e.id and coalesce(c.error, '') not like 'lost%%')"""
FAILED = "select created_at, agent_type, attempt, latency_ms, error from llm_calls where error is not null order by 1"


def built(place: Place, todos: int) -> None:
    """Wait until so many of the todos that the test gave are done."""
    place.until("select count(*) = %s from todos where content like 'Build part%%' and status = 'completed'", todos)


def answered(place: Place, lines: int) -> None:
    """Wait until so many lines of visitors are answered."""
    place.until("select count(*) = %s from user_messages where status = 'answered'", lines)


def assert_kept(
    place: Place, provider: Provider, *, unreported: int | None = 0, cut_short: bool = False, may_fail: bool = False
) -> None:
    """Pause everything, let it come to rest, and judge. `unreported` and `cut_short`: see `assert_ledger`.

    `may_fail`: workers were lost so often that some item met it three times.
    """
    place.move("paused")
    provider.release()
    place.until(AT_REST)
    promises = {**NEVER, **NEVER_AT_REST}
    if may_fail:
        del promises["work that failed for good"]
    found = {what: place.one(count) for what, count in promises.items()}
    assert not {what: count for what, count in found.items() if count}
    assert_ledger(place, provider, unreported, cut_short=cut_short)


def assert_ledger(place: Place, provider: Provider, unreported: int | None, *, cut_short: bool = False) -> None:
    """The ledger's rows are the calls that the provider counted, and one for each run that was lost with its worker.

    `unreported` is how many calls those runs made; None where the test cannot know, then at most one each.
    `cut_short`: calls were cancelled at any moment, so some of them may have ended before the provider heard of them.
    """
    eventually(lambda: not provider.open, within=10, what="the provider's calls ended")
    least = provider.count - (place.one(SILENT) if unreported is None else unreported)
    place.until(KNOWN.replace("count(*)", "count(*) >= %s"), least, within=10)
    known, lost, silent = place.one(KNOWN), place.one(LOST), place.one(SILENT)
    assert lost == silent
    if unreported is None:
        assert known <= provider.count
    else:
        unsent = place.one("select count(*) from llm_calls where error = 'cancelled'") if cut_short else 0
        assert unreported <= lost
        assert known - least <= unsent, place.sql(FAILED)


# By the database's times: the next run of somebody else against the lease that nobody renewed.
TAKEN_OVER = """
    select extract(epoch from min(e.started_at) - %s)::float
    from agent_executions e join workers w on w.id = e.worker_id
    where e.stack_id = %s and w.name = %s and e.started_at > %s"""


def taken_over(place: Place, stack: str, by: str, *, lease_end: datetime) -> float:
    """Wait until `by` runs the stack, and say how many seconds after the end of the lease that was.

    Fails the test if it is more than the one that is promised.
    """
    values = (lease_end, stack, by, place.one("select %s::timestamptz - interval '1 hour'", lease_end))
    late: float = eventually(lambda: (found := place.one(TAKEN_OVER, *values)) and (found,), within=30, what=by)[0]
    assert late <= TAKE_OVER_S
    return late
