"""Who may steer, and what happens when the database says no."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from supabase import Client

pytestmark = pytest.mark.browser


def state_in_database(service: Client, stack_id: str) -> str:
    row = service.table("agent_stacks").select("execution_state").eq("id", stack_id).single().execute()
    state: str = row.data["execution_state"]
    return state


def test_visitors_see_no_controls(page: Page, live_stack: Any, make_stack: Callable[..., str]) -> None:
    stack_id = make_stack("Only Watched", state="running")
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    expect(page.get_by_role("heading", name="Only Watched")).to_be_visible()
    expect(page.get_by_test_id("control-pause")).to_have_count(0)
    expect(page.get_by_test_id("create-stack")).to_have_count(0)


def test_a_wrong_password_is_said_in_words(page: Page, live_stack: Any) -> None:
    page.goto(live_stack.url)
    page.get_by_test_id("sign-in").click()
    page.get_by_label("E-mail").fill(live_stack.operator_email)
    page.get_by_label("Password").fill("not the password")
    page.get_by_test_id("sign-in-submit").click()
    expect(page.get_by_role("alert")).to_have_text("No account has this e-mail and password.")


def test_pause_resume_stop_from_the_page_of_a_stack(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str], sign_in: Callable[[Page], None]
) -> None:
    stack_id = make_stack("Steered", state="running")
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    sign_in(page)
    state = page.get_by_test_id("stack-state")
    for control, then in (("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("play", "running")):
        page.get_by_test_id(f"control-{control}").click()
        expect(state).to_have_attribute("data-state", then)
        expect(state).to_have_attribute("aria-busy", "false")
        assert state_in_database(service, stack_id) == then
    page.reload()
    expect(page.get_by_test_id("control-pause")).to_be_enabled()  # the sign-in outlives a reload


def test_a_refused_move_is_undone_with_the_servers_reason(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str], sign_in: Callable[[Page], None]
) -> None:
    stack_id = make_stack("Refused", state="running")
    page.goto(f"{live_stack.url}/?q=Refused")
    sign_in(page)
    waiting: list[Route] = []
    page.route(
        "**/rest/v1/agent_stacks*", lambda r: waiting.append(r) if r.request.method == "PATCH" else r.continue_()
    )
    row = page.locator(f'[data-stack-id="{stack_id}"]')
    with page.expect_request(lambda request: request.method == "PATCH"):
        row.get_by_test_id("control-pause").click()
    state = row.get_by_test_id("stack-state")
    expect(state).to_have_attribute("data-state", "paused")  # at once, before any answer
    expect(state).to_have_attribute("aria-busy", "true")
    # The database is asked for something it refuses, and says why itself.
    waiting[0].continue_(post_data=json.dumps({"execution_state": "flying"}))
    expect(page.get_by_test_id("notices")).to_contain_text('Execution_state cannot be "flying"')
    expect(state).to_have_attribute("data-state", "running")
    assert state_in_database(service, stack_id) == "running"


def test_an_operator_who_may_only_look_finds_the_controls_disabled(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    stack_id = make_stack("Looked At", state="running")
    user = service.auth.admin.create_user(
        {
            "email": f"looker-{stack_id}@example.com",
            "password": "only-looking-here",
            "email_confirm": True,
            "app_metadata": {"role": "operator", "read_only": True},
        }
    ).user
    try:
        page.goto(f"{live_stack.url}/stacks/{stack_id}")
        page.get_by_test_id("sign-in").click()
        page.get_by_label("E-mail").fill(f"looker-{stack_id}@example.com")
        page.get_by_label("Password").fill("only-looking-here")
        page.get_by_test_id("sign-in-submit").click()
        pause = page.get_by_test_id("control-pause")
        expect(pause).to_be_disabled()
        expect(pause).to_have_attribute("title", "This operator account may only look")
    finally:
        service.auth.admin.delete_user(user.id)


def test_a_stack_is_created_with_its_idea(
    page: Page, live_stack: Any, service: Client, sign_in: Callable[[Page], None]
) -> None:
    page.goto(live_stack.url)
    sign_in(page)
    page.get_by_test_id("create-stack").click()
    page.get_by_label("Name", exact=True).fill("Made Here")
    page.get_by_label("Idea – optional").fill("A moon calendar")
    page.get_by_label("Play at once").uncheck()
    page.get_by_test_id("create-submit").click()
    try:
        expect(page.get_by_role("heading", name="Made Here")).to_be_visible()
        expect(page.get_by_role("heading", name="A moon calendar")).to_be_visible()
    finally:
        service.table("agent_stacks").delete().eq("participant_name", "Made Here").execute()
    expect(page.get_by_text("This stack does not exist")).to_be_visible()


def test_pausing_everything_that_matches_the_filter(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str], sign_in: Callable[[Page], None]
) -> None:
    matched = [make_stack(f"Bulk {n}", state="running") for n in range(3)]
    other = make_stack("Left Alone", state="running")
    page.goto(f"{live_stack.url}/?q=bulk")
    sign_in(page)
    expect(page.get_by_test_id("stack-row")).to_have_count(3)
    page.get_by_test_id("bulk-pause").click()
    expect(page.get_by_role("dialog")).to_contain_text("Pause 3 stacks?")
    page.get_by_test_id("confirm").click()
    expect(page.get_by_test_id("notices")).to_contain_text("3 stacks: pause.")
    assert {state_in_database(service, stack_id) for stack_id in matched} == {"paused"}
    assert state_in_database(service, other) == "running"
