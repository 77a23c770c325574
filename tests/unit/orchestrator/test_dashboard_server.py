"""The dashboard's web server: which file, which policy, how long it may be kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator.web import FRAME_POLICY, Page, build, page_policy

PAGE = Page(supabase_url="https://x.supabase.co", publishable_key="sb_publishable_k")


@pytest.fixture
def browser(tmp_path: Path) -> TestClient:
    root = tmp_path / "dist"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<title>page</title>")
    (root / "frame.html").write_text("<title>frame</title>")
    (root / "assets" / "app-1a2b.js").write_text("1")
    (root / ".stamp").write_text("hidden")
    (tmp_path / "secret.txt").write_text("outside")
    return TestClient(build(PAGE, root))


def test_config_names_the_supabase_and_only_the_public_key(browser: TestClient) -> None:
    answer = browser.get("/config.json")
    assert answer.json() == {"supabaseUrl": "https://x.supabase.co", "publishableKey": "sb_publishable_k"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/stacks/0f3c", "/index.html"])
def test_page_addresses_get_the_page_and_its_strict_policy(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.text == "<title>page</title>"
    assert answer.headers["content-security-policy"] == page_policy("https://x.supabase.co")
    assert answer.headers["cache-control"] == "no-cache"


def test_the_page_may_connect_to_its_supabase_only() -> None:
    policy = page_policy("http://127.0.0.1:54321")
    assert "connect-src 'self' http://127.0.0.1:54321 ws://127.0.0.1:54321;" in policy
    assert "wss://x.supabase.co;" in page_policy("https://x.supabase.co")
    assert "'unsafe-eval'" not in policy


def test_the_frame_has_no_origin_and_no_network(browser: TestClient) -> None:
    answer = browser.get("/frame.html")
    assert answer.headers["content-security-policy"] == FRAME_POLICY
    assert "allow-same-origin" not in FRAME_POLICY
    assert "default-src 'none'" in FRAME_POLICY


def test_hashed_files_are_kept_for_ever(browser: TestClient) -> None:
    assert "immutable" in browser.get("/assets/app-1a2b.js").headers["cache-control"]


@pytest.mark.parametrize("path", ["/assets/gone.js", "/gone.css", "/.stamp", "/%2e%2e/secret.txt", "/..%2fsecret.txt"])
def test_missing_hidden_and_outside_files_are_not_found(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_health(browser: TestClient) -> None:
    assert browser.get("/healthz").text == "ok\n"


def test_an_unbuilt_dashboard_says_what_to_run() -> None:
    answer = TestClient(build(PAGE, None)).get("/")
    assert answer.status_code == 503
    assert "./scripts/up --setup-only" in answer.text
