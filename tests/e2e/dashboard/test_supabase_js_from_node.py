"""supabase-js from Node hears of a pause it made itself, by a plain UPDATE of the row."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from processes import DASHBOARD, find_node
from supabase import Client


def test_a_pause_by_supabase_js_is_heard_and_stays(
    live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    stack_id = make_stack("Paused From Node", state="running")
    environment = {
        "PATH": os.environ["PATH"],
        "API_URL": live_stack.api_url,
        "KEY": live_stack.service_key,
        "STACK_ID": stack_id,
    }
    done = subprocess.run(
        [find_node(), "test/subscribe_and_pause.mjs"],
        cwd=DASHBOARD,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"answered": "paused", "heard": "paused"}
    row = service.table("agent_stacks").select("execution_state").eq("id", stack_id).single().execute()
    assert row.data["execution_state"] == "paused"
