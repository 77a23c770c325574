"""The fleet page shows what is in the tables without a reload: made, changed, paused, gone, and missed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from supabase import Client

pytestmark = pytest.mark.browser


def row_of(page: Page, stack_id: str) -> Locator:
    return page.locator(f'[data-testid="stack-row"][data-stack-id="{stack_id}"]')


def open_live(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_test_id("freshness")).to_have_attribute("data-connection", "live")
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)


def test_a_stack_appears_works_waits_and_goes(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    open_live(page, f"{live_stack.url}/?q=Followed")
    stack_id = make_stack("Followed Owls")
    row = row_of(page, stack_id)
    expect(row.get_by_test_id("stack-state")).to_have_text("Idle")

    idea = {"stack_id": stack_id, "title": "A tide table"}
    service.table("project_ideas").insert(idea).execute()
    expect(row).to_contain_text("A tide table")

    busy = {"activity": {"builder": {"reason": "todo: draw the waves", "since": "2026-01-01T00:00:00Z"}}}
    service.table("stack_status").update(busy).eq("stack_id", stack_id).execute()
    expect(row).to_contain_text("todo: draw the waves")
    expect(row.get_by_role("img", name="At work: Builder")).to_be_visible()

    waits = {"activity": {}, "wait_reason": "waiting for the quota", "wait_until": "2099-01-01T00:00:00Z"}
    service.table("stack_status").update(waits).eq("stack_id", stack_id).execute()
    expect(row).to_contain_text("Waiting for the quota")
    expect(row.locator(".countdown")).to_be_visible()

    thought = {"stack_id": stack_id, "agent_type": "builder", "action": "build", "simulated": True}
    service.table("agent_traces").insert({**thought, "thought": "Drew the <b>waves</b>."}).execute()
    expect(row.get_by_test_id("trace")).to_contain_text("Drew the <b>waves</b>.")
    expect(row.get_by_test_id("trace")).to_contain_text("simulated")

    service.table("artifacts").insert({"stack_id": stack_id, "version": 3}).execute()
    expect(row).to_contain_text("v3")

    service.table("agent_stacks").delete().eq("id", stack_id).execute()
    expect(row).to_have_count(0)


def test_a_pause_by_supabase_py_is_painted_within_a_second(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    stack_id = make_stack("Paused From Afar", state="running")
    open_live(page, f"{live_stack.url}/?q=Afar")
    state = row_of(page, stack_id).get_by_test_id("stack-state")
    expect(state).to_have_attribute("data-state", "running")
    service.table("agent_stacks").update({"execution_state": "paused"}).eq("id", stack_id).execute()
    expect(state).to_have_attribute("data-state", "paused", timeout=1000)


def test_filter_and_search_live_in_the_address(page: Page, live_stack: Any, make_stack: Callable[..., str]) -> None:
    wanted, other = make_stack("Findable Foxes"), make_stack("Hidden Herons")
    open_live(page, live_stack.url)
    page.keyboard.press("/")
    page.keyboard.type("findable")
    expect(row_of(page, other)).to_have_count(0)
    page.get_by_role("button", name="Idle").click()
    page.reload()
    expect(page.get_by_test_id("search")).to_have_value("findable")
    expect(page.get_by_role("button", name="Idle")).to_have_attribute("aria-pressed", "true")
    expect(row_of(page, wanted)).to_be_visible()
    expect(page.get_by_test_id("stack-row")).to_have_count(1)

    page.get_by_test_id("search").fill("nothing is called this")
    page.get_by_role("button", name="Show all").click()
    expect(page).to_have_url(f"{live_stack.url.rstrip('/')}/")


def test_what_a_cut_socket_missed_is_caught_up_and_counted(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    kept, gone = make_stack("Cut Kept", state="running"), make_stack("Cut Gone")
    sockets: list[WebSocketRoute] = []
    down = False

    def connect(route: WebSocketRoute) -> None:
        if down:
            route.close()
            return
        sockets.append(route)
        route.connect_to_server()

    page.route_web_socket("**/realtime/v1/**", connect)
    open_live(page, f"{live_stack.url}/?q=Cut")
    freshness = page.get_by_test_id("freshness")
    expect(row_of(page, gone)).to_be_visible()

    down = True
    sockets[-1].close()
    expect(freshness).to_have_attribute("data-connection", "reconnecting", timeout=3000)
    service.table("agent_stacks").update({"execution_state": "paused"}).eq("id", kept).execute()
    service.table("agent_stacks").delete().eq("id", gone).execute()
    down = False

    expect(freshness).to_have_attribute("data-connection", "live", timeout=30_000)
    expect(row_of(page, kept).get_by_test_id("stack-state")).to_have_attribute("data-state", "paused")
    expect(row_of(page, gone)).to_have_count(0)
    expect(page.get_by_test_id("recovered")).not_to_have_text("0 recovered")
    expect(page.get_by_test_id("recovered")).to_contain_text("reconnect")
