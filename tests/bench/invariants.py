"""What must hold whoever dies: each query counts the rows that should not be, in one look at the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import asyncpg

# Hold at any moment. $1: runs, rows and messages from before are not looked at again.
ALWAYS: Mapping[str, str] = {
    "one agent in two runs at once": """
        select count(*) from agent_executions a join agent_executions b
          on a.stack_id = b.stack_id and a.agent_type = b.agent_type and a.id < b.id
        where a.started_at > $1 and b.started_at > $1
          and (a.fence = b.fence or (a.status <> 'abandoned' and b.status <> 'abandoned'))
          -- visitors are answered beside each other, never one line twice
          and not (a.item ->> 'kind' = 'visitor' and b.item ->> 'kind' = 'visitor' and a.work_key <> b.work_key
            and a.fence = b.fence)
          and tstzrange(a.started_at, a.completed_at) && tstzrange(b.started_at, b.completed_at)""",
    "two cycles of one stack landed at once": """
        select count(*) from agent_executions a join agent_executions b
          on a.stack_id = b.stack_id and a.fence < b.fence
        where a.started_at > $1 and b.started_at > $1 and a.status = 'completed' and b.status = 'completed'
          and tstzrange(a.started_at, a.completed_at) && tstzrange(b.started_at, b.completed_at)""",
    "a completed run without exactly one trace": """
        select count(*) from agent_executions e
        where e.completed_at > $1 and e.status = 'completed'
          and (select count(*) from agent_traces t where t.stack_id = e.stack_id and t.run_id = e.id) <> 1""",
    "a trace of a run that did not land": """
        select count(*) from agent_traces t join agent_executions e on e.id = t.run_id
        where t.created_at > $1 and e.status not in ('completed', 'failed')""",
    "a completed run that is not in the ledger": """
        select count(*) from agent_executions e
        where e.completed_at > $1 and e.status = 'completed'
          and e.reply_of is null   -- it took a stored reply, and bought none
          and not exists (select from llm_calls c where c.run_id = e.id)""",
    "a gap in an app's versions": """
        select count(*) from (
          select from artifacts where $1::timestamptz is not null
          group by stack_id having max(version) <> count(*)) x""",
    "a todo built twice": """
        select count(*) from (
          select from artifacts where todo_id is not null and restores is null and $1::timestamptz is not null
          group by todo_id having count(*) > 1) x""",
    "a visitor answered twice": """
        select count(*) from (
          select from messages where message_type = 'visitor' and created_at > $1
          group by run_id having count(*) > 1) x""",
    "answers that differ from answered lines": """
        select abs((select count(*) from messages where message_type = 'visitor')
          - (select count(*) from user_messages where status = 'answered')) where $1::timestamptz is not null""",
    "a todo in work that no live run owns": """
        select count(*) from todos t where t.status = 'in_progress' and $1::timestamptz is not null
          and not exists (select from agent_executions e where e.id = t.run_id and e.status = 'running')""",
    "a visitor's line in work that no live run owns": """
        select count(*) from user_messages m where m.status = 'claimed' and $1::timestamptz is not null
          and not exists (select from agent_executions e where e.id = m.run_id and e.status = 'running')""",
    "a team message in work that no live run owns": """
        select count(*) from message_reads r where r.status = 'claimed' and $1::timestamptz is not null
          and not exists (select from agent_executions e where e.id = r.run_id and e.status = 'running')""",
}

# Hold once everybody was given the time to finish. $1: what was made until then must have come to its end.
AT_THE_END: Mapping[str, str] = {
    "a todo that was never done": """
        select count(*) from todos where created_at <= $1 and status in ('pending', 'in_progress')""",
    "a visitor's line that was never answered": """
        select count(*) from user_messages where created_at <= $1 and status in ('waiting', 'claimed')""",
    "a team message that was never read": """
        select count(*) from message_reads r join messages m on m.id = r.message_id
        where m.created_at <= $1 and r.status in ('waiting', 'claimed')""",
    "a run that never ended": """
        select count(*) from agent_executions where started_at <= $1 and status = 'running'""",
}


async def violations(
    database: asyncpg.Pool | asyncpg.Connection, queries: Mapping[str, str], moment: datetime
) -> dict[str, int]:
    """The queries that count anything, and how much."""
    counted = {what: await database.fetchval(query, moment) for what, query in queries.items()}
    return {what: count for what, count in counted.items() if count}
