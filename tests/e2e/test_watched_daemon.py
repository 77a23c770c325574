"""`stackbeat run` and `up` with --metrics-port: what a scraper and a prober read from real processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
from processes import STOP_TIMEOUT_S, Stack, clean_environment, eventually, stackbeat
from prometheus_client.parser import text_string_to_metric_families


def samples(url: str) -> dict[str, float]:
    answer = httpx.get(f"{url}/metrics", timeout=20)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_daemon_serves_its_metrics_and_says_where(live_stack: Stack, tmp_path: Path) -> None:
    log = tmp_path / "facts"
    environment = clean_environment({"SUPABASE_URL": live_stack.api_url, "SUPABASE_SECRET_KEY": live_stack.service_key})
    with log.open("wb") as out:
        daemon = subprocess.Popen(
            stackbeat("run", "--json", "--metrics-port", "auto"), cwd=tmp_path, env=environment, stdout=out
        )
    try:
        url = eventually(lambda: _fact(log, "MonitorServed"), within=60, what="where the metrics are")["url"]
        eventually(lambda: httpx.get(f"{url}/ready").status_code == 200, within=60, what="ready")
        assert httpx.get(f"{url}/health").json()["healthy"] is True
        seen = samples(url)
        assert seen["stackbeat_store_up"] == 1
        assert seen["stackbeat_slots"] == 200
        assert seen["process_resident_memory_bytes"] > 1_000_000
    finally:
        daemon.send_signal(signal.SIGTERM)
        code = daemon.wait(STOP_TIMEOUT_S)
    assert code == 0
    assert _fact(log, "DaemonStopped")


def test_up_serves_them_beside_the_dashboard(live_stack: Stack) -> None:
    log = live_stack.workdir / "up.log"
    said = eventually(lambda: re.search(r"(http://\S+)/metrics", log.read_text()), within=30, what="the address")
    eventually(lambda: samples(said[1])["stackbeat_stacks_claimed_total"] > 0, within=60, what="a claimed stack")
    assert httpx.get(f"{said[1]}/ready").json()["ready"] is True
    assert live_stack.json("up")["metrics_url"] == f"{said[1]}/metrics"
    assert "stackbeat_" not in httpx.get(f"{live_stack.url}/metrics").text, "the dashboard may be for everybody"


def _fact(log: Path, kind: str) -> dict[str, Any] | None:
    whole_lines = log.read_text().rpartition("\n")[0].splitlines()
    facts: list[dict[str, Any]] = [json.loads(line) for line in whole_lines]
    return next((fact for fact in facts if fact["fact"] == kind), None)
