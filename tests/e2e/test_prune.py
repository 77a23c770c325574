"""`stackbeat prune` deletes what the settings call too old, and --dry-run counts exactly that."""

from __future__ import annotations

from typing import Any

from processes import Stack

from orchestrator.cli.errors import ExitCode
from orchestrator.retention import BATCH

OLD_TRACES = BATCH + 50
TOO_OLD = {"agent_traces": OLD_TRACES, "agent_executions": 30, "llm_calls": 20, "workers": 1}
LIMITS = ("--traces-days", "5", "--runs-days", "6", "--calls-days", "7")


def seed(live_stack: Stack) -> None:
    """Rows of 4 and of 10 days, and one run that still runs, however long."""
    live_stack.json("create", "Old")
    live_stack.sql(f"""
        insert into agent_traces (stack_id, agent_type, action, created_at)
        select id, 'planner', 'planning', now() - make_interval(days => case when n > 7 then 10 else 4 end)
        from agent_stacks, generate_series(1, {OLD_TRACES} + 7) n where participant_name = 'Old'""")
    live_stack.sql("""
        insert into agent_executions (
          id, stack_id, agent_type, worker_id, fence, status, priority, reason, work_key, started_at, completed_at)
        select gen_random_uuid(), id, 'planner', gen_random_uuid(), 1,
          case n when 0 then 'running' else 'completed' end, 5, 'r', 'k', now() - interval '11 days',
          case when n > 0 then now() - make_interval(days => case when n > 7 then 10 else 4 end) end
        from agent_stacks, generate_series(0, 37) n where participant_name = 'Old'""")
    live_stack.sql("""
        insert into llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, created_at)
        select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'planner', 1, 'groq', 'm',
          now() - make_interval(days => case when n > 7 then 10 else 4 end) from generate_series(1, 27) n""")
    live_stack.sql("""
        insert into workers (id, name, version, slots, heartbeat_at)
        select gen_random_uuid(), 'gone', '0', 1, now() - interval '10 days'""")


def old_rows(live_stack: Stack) -> int:
    return int(live_stack.sql("select count(*) from agent_traces where created_at < now() - interval '3 days'")[0][0])


def test_prune_deletes_in_batches_what_a_dry_run_counted(live_stack: Stack) -> None:
    seed(live_stack)
    before = old_rows(live_stack)
    counted: dict[str, Any] = live_stack.json("prune", "--dry-run", *LIMITS)
    assert counted["dry_run"]
    assert counted["rows"] == TOO_OLD
    assert counted["older_than_days"] == {"agent_traces": 5, "agent_executions": 6, "llm_calls": 7, "workers": 6}
    assert old_rows(live_stack) == before

    done = live_stack.run("prune", *LIMITS)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == ["TABLE", "OLDER THAN DAYS", "DELETED"]
    assert {table: int(rows) for table, _, rows in lines[1:]} == TOO_OLD
    assert f"deleted {BATCH} of agent_traces" in done.stderr
    assert f"deleted {OLD_TRACES} of agent_traces" in done.stderr
    assert old_rows(live_stack) == 7
    assert live_stack.sql("select count(*) from agent_executions where started_at < now() - interval '9 days'") == [
        ["8"]
    ]

    again: dict[str, Any] = live_stack.json("prune", *LIMITS)
    assert again["rows"] == dict.fromkeys(TOO_OLD, 0)
    live_stack.json("delete", "Old", "--yes")


def test_without_options_the_settings_of_the_daemon_hold(live_stack: Stack) -> None:
    (live_stack.workdir / "stackbeat.toml").write_text("[retention]\ntraces_days = 3\n")
    try:
        found: dict[str, Any] = live_stack.json("prune", "--dry-run")
    finally:
        (live_stack.workdir / "stackbeat.toml").unlink()
    assert found["older_than_days"] == {"agent_traces": 3, "agent_executions": 14, "llm_calls": 90, "workers": 14}


def test_a_limit_of_no_days_is_refused(live_stack: Stack) -> None:
    assert live_stack.run("prune", "--traces-days", "0").returncode == ExitCode.USAGE
