"""From a ledger to a recording to a daemon that asks nobody, through the command and the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
from click.testing import CliRunner, Result

from orchestrator.cli.record import record

from .conftest import Talker, World, answering


async def run_record(world: World, *arguments: str) -> Result:
    settings = {"SUPABASE_URL": world.url, "SUPABASE_SERVICE_ROLE_KEY": world.key}
    runner = CliRunner()
    return await anyio.to_thread.run_sync(lambda: runner.invoke(record, [*arguments, "--json"], env=settings))


async def test_what_one_daemon_paid_for_another_one_replays(world: World, tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"
    first = await world.stack("Owls")
    wrote = "select true from agent_traces where stack_id = $1 and thought = 'paid for'"
    async with world.daemon([Talker()], [answering("paid for")]):
        await world.until(wrote, first)
    done = await run_record(world, str(file), "--stack", "Owls")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"file": str(file), "replies": 1}

    second = await world.stack("Voles")
    models: dict[str, Any] = {"order": ["replay"], "replay": {"file": file}}
    async with world.daemon([Talker()], models=models):
        await world.until(wrote, second)
    calls = "select provider, model, simulated, cost_usd = 0, tokens_in from llm_calls where stack_id = $1"
    assert [tuple(row) for row in await world.admin.fetch(calls, second)] == [("replay", "recorded", True, True, 10)]


async def test_a_question_that_was_not_recorded_fails_its_run_and_says_so(world: World, tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"
    file.write_text("")
    await world.stack()
    async with world.daemon([Talker()], models={"order": ["replay"], "replay": {"file": file}}):
        error = await world.until("select error from agent_executions where status = 'failed'")
    assert f"{file} has no reply to this question of the planner" in error
    assert "stackbeat bench record" in error


async def test_an_empty_ledger_is_said(world: World, tmp_path: Path) -> None:
    done = await run_record(world, str(tmp_path / "r.jsonl"))
    assert done.exit_code == 1
    assert "the ledger holds no reply" in done.output
