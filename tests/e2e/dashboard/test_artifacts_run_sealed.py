"""Pages written by agents run in their frame, and reach neither the network nor the page around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

WORKING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Counter</title>
<style>button { color: rgb(10, 20, 30) }</style></head><body><button id="b">0</button>
<script>b.onclick = () => { b.textContent = Number(b.textContent) + 1 }</script></body></html>"""

HOSTILE = Path(__file__).with_name("hostile.html").read_text()


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that notes what it is asked for: its address, and the paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: object) -> None:
            """Not to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_an_artifact_runs_without_a_console_error(
    page: Page, live_stack: Any, make_stack: Callable[..., str], publish: Callable[[str, str], None]
) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    stack_id = make_stack("Counting Owls")
    publish(stack_id, WORKING)
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    button = page.frame_locator('[data-testid="artifact-frame"]').get_by_role("button")
    button.click()
    button.click()
    expect(button).to_have_text("2")
    expect(button).to_have_css("color", "rgb(10, 20, 30)")
    assert problems == []


def test_a_hostile_artifact_reaches_neither_network_nor_parent(
    page: Page,
    live_stack: Any,
    make_stack: Callable[..., str],
    publish: Callable[[str, str], None],
    listener: tuple[str, list[str]],
) -> None:
    target, asked = listener
    stack_id = make_stack("Thieving Magpies")
    publish(stack_id, HOSTILE.replace("TARGET", target))
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    log = page.frame_locator('[data-testid="artifact-frame"]').locator("#log")
    expect(log).to_contain_text("done")
    said = (log.text_content() or "").removesuffix("; done").split("; ")
    assert [line for line in said if line.endswith("worked")] == []
    assert len(said) == 13
    # The frame may try to leave, and take something along in the address: the page around it forbids that.
    frame = next(frame for frame in page.frames if frame.url.endswith("/frame.html"))
    frame.evaluate("target => { location.href = target + '/leave?secret=1' }", target)
    expect(page.frame_locator('[data-testid="artifact-frame"]').locator("#log")).to_have_count(0)
    assert asked == []
    assert page.url.endswith(stack_id)
    expect(page.get_by_role("heading", name="Thieving Magpies")).to_be_visible()
    assert page.get_by_text("taken over").count() == 0
    assert len(page.context.pages) == 1


def test_the_frame_alone_is_sealed_by_its_own_headers(page: Page, live_stack: Any) -> None:
    response = page.goto(f"{live_stack.url}/frame.html")
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert "default-src 'none'" in policy
    assert page.evaluate("origin") == "null"
