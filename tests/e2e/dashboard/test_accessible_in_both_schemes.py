"""axe finds nothing on the pages and in the dialog, dark and light, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[3] / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"


def findings(page: Page) -> list[str]:
    """What axe has against the page; evaluated, not injected, for the page's policy takes no foreign script."""
    page.evaluate(AXE.read_text())
    # The artifact in its frame is somebody else's page, and sealed.
    result = page.evaluate("axe.run(document, { iframes: false, resultTypes: ['violations'] })")
    return [f"{rule['id']}: {node['html']}" for rule in result["violations"] for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(
    *,
    browser: Browser,
    live_stack: Any,
    make_stack: Callable[..., str],
    publish: Callable[[str, str], None],
    spend: Callable[..., None],
    sign_in: Callable[[Page], None],
    service: Any,
    scheme: Any,
    width: int,
) -> None:
    stack_id = make_stack(f"Axe {scheme} {width}")
    publish(stack_id, "<!doctype html><title>x</title><p>A page")
    spend(stack_id, usd="0.5")  # the demo's own calls may all be yesterday's
    for status in ("pending", "completed", "cancelled", "failed"):
        service.table("todos").insert({"stack_id": stack_id, "content": f"is {status}", "status": status}).execute()
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        page.goto(live_stack.url)
        page.get_by_test_id("stack-row").first.wait_for()
        assert findings(page) == []
        page.get_by_test_id("sign-in").click()
        assert findings(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        sign_in(page)
        page.get_by_test_id("spending").locator("summary").click()
        page.get_by_test_id("spent-row").first.wait_for()
        assert findings(page) == []
        page.goto(f"{live_stack.url}/stacks/{stack_id}")
        page.get_by_test_id("chat-input").fill("x" * 2001)
        expect(page.get_by_test_id("todo")).to_have_count(4)
        assert findings(page) == []


def test_the_keyboard_opens_a_stack_and_comes_back(
    browser: Browser, live_stack: Any, make_stack: Callable[..., str]
) -> None:
    make_stack("Keys 1")
    make_stack("Keys 2")
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{live_stack.url}/?q=Keys")
        page.get_by_role("link", name="Keys 1").focus()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("link", name="Keys 2")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Keys 2")).to_be_visible()
        page.go_back()
        expect(page.get_by_test_id("search")).to_have_value("Keys")
