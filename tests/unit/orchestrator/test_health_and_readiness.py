"""When a daemon is alive, when it is ready, and what the answers say where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator.config import Config
from orchestrator.facts import DaemonStopping, SignalsDown, SignalsUp
from orchestrator.monitor.endpoints import Monitor
from orchestrator.monitor.vitals import Bounds, Vitals, what_is_missing, what_is_stuck

BOUNDS = Bounds(lease_s=15, cadence_s=10, request_timeout_s=10)
WELL = Vitals(
    slots=200, slots_free=150, due=0, begin_wait_s=0, commit_wait_s=0, backlog_s=0, contact_age_s=1.25, loop_age_s=5
)


@pytest.mark.parametrize(
    ("vitals", "stopping", "words"),
    [
        (WELL, False, []),
        (replace(WELL, contact_age_s=15), False, []),
        (replace(WELL, slots_free=0, backlog_s=500), False, []),
        (replace(WELL, contact_age_s=15.1), False, ["15.1 s"]),
        (replace(WELL, contact_age_s=None), False, ["starting"]),
        (None, False, ["starting"]),
        (WELL, True, ["stopping"]),
        (replace(WELL, contact_age_s=20), True, ["stopping", "20.0 s"]),
    ],
)
def test_ready_means_that_supabase_answered_within_a_lease(
    vitals: Vitals | None, stopping: bool, words: list[str]
) -> None:
    problems = what_is_missing(vitals, BOUNDS, stopping=stopping)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


@pytest.mark.parametrize(
    ("vitals", "stopping", "stuck"),
    [
        (WELL, False, False),
        (replace(WELL, loop_age_s=70), False, False),
        (replace(WELL, loop_age_s=71), False, True),
        (replace(WELL, loop_age_s=71), True, False),
        (replace(WELL, contact_age_s=3_600), False, False),
        (None, False, False),
    ],
)
def test_only_a_loop_that_stands_still_is_a_reason_to_start_anew(
    vitals: Vitals | None, stopping: bool, stuck: bool
) -> None:
    assert bool(what_is_stuck(vitals, BOUNDS, stopping=stopping)) is stuck


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(Config.build({"supabase_url": "http://127.0.0.1:1", "service_key": "sb_secret_x"}))


def test_the_answers(monitor: Monitor) -> None:
    browser = TestClient(monitor.app)
    starting = browser.get("/ready")
    assert starting.status_code == 503
    assert starting.json()["store_contact_age_s"] is None
    assert browser.get("/health").status_code == 200
    monitor.watch(lambda: WELL)
    monitor.observe(SignalsUp())
    ready = browser.get("/ready")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "problems": [], "store_contact_age_s": 1.25, "signals": "up"}
    assert ready.headers["cache-control"] == "no-store"
    assert browser.get("/health").json() == {"healthy": True, "problems": [], "loop_age_s": 5}
    assert "stackbeat_signals_up 1.0" in browser.get("/metrics").text


def test_signals_may_be_down(monitor: Monitor) -> None:
    monitor.watch(lambda: WELL)
    monitor.observe(SignalsDown(error="cut", retry_s=1))
    answer = TestClient(monitor.app).get("/ready")
    assert (answer.status_code, answer.json()["signals"]) == (200, "down")


def test_a_draining_daemon_is_alive_and_not_ready(monitor: Monitor) -> None:
    monitor.watch(lambda: replace(WELL, loop_age_s=3_000))
    browser = TestClient(monitor.app)
    assert browser.get("/health").status_code == 503
    monitor.observe(DaemonStopping(running=1, grace_s=10))
    assert browser.get("/health").status_code == 200
    assert browser.get("/ready").status_code == 503


def test_nothing_else_is_served_and_nothing_is_taken(monitor: Monitor) -> None:
    browser = TestClient(monitor.app)
    assert browser.get("/").status_code == 404
    assert browser.post("/metrics").status_code == 405


def test_the_reference_names_every_endpoint(monitor: Monitor) -> None:
    text = (Path(__file__).parents[3] / "docs" / "observability.md").read_text()
    for route in monitor.app.routes:
        assert f"`{route.path}`" in text  # type: ignore[attr-defined]
