"""A visitor writes without signing in; the communicator answers, and what cannot be sent is explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from supabase import Client

pytestmark = pytest.mark.browser


def test_a_question_is_answered_on_the_page(page: Page, live_stack: Any, make_stack: Callable[..., str]) -> None:
    stack_id = make_stack("Asked Owls", state="running")
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    page.get_by_test_id("chat-name").fill("Ana")
    page.get_by_test_id("chat-input").fill("What are you <i>building</i>?")
    page.keyboard.press("Enter")
    line = page.get_by_test_id("chat-message")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("What are you <i>building</i>?")
    expect(line).to_contain_text("Ana")
    expect(line).to_have_attribute("data-status", "answered", timeout=30_000)
    expect(line.get_by_test_id("chat-answer")).not_to_be_empty()


def test_each_line_says_whether_it_waits_was_answered_or_failed(
    page: Page, live_stack: Any, service: Client, make_stack: Callable[..., str]
) -> None:
    stack_id = make_stack("Told Owls")
    page.goto(f"{live_stack.url}/stacks/{stack_id}")
    expect(page.get_by_text("Nobody has written yet")).to_be_visible()
    line = {"stack_id": stack_id, "sender_name": "Bo", "content": "Are you there?"}
    shown = page.get_by_test_id("chat-message")
    service.table("user_messages").insert(line).execute()
    expect(shown).to_contain_text("Waiting for an answer")
    service.table("user_messages").insert({**line, "status": "failed"}).execute()
    expect(shown.nth(1)).to_contain_text("every attempt failed")
    answer = {"from_stack_id": stack_id, "content": "We <u>are</u>!", "message_type": "visitor"}
    answer_id = service.table("messages").insert(answer).execute().data[0]["id"]
    service.table("user_messages").insert({**line, "status": "answered", "response_id": answer_id}).execute()
    expect(shown.nth(2).get_by_test_id("chat-answer")).to_have_text("We <u>are</u>!")


def test_a_message_that_is_too_long_is_kept_and_explained(
    page: Page, live_stack: Any, make_stack: Callable[..., str]
) -> None:
    page.goto(f"{live_stack.url}/stacks/{make_stack('Short Owls')}")
    page.get_by_test_id("chat-input").fill("x" * 2003)
    expect(page.get_by_test_id("chat-problem")).to_contain_text("2,003 characters")
    expect(page.get_by_test_id("chat-problem")).to_contain_text("Shorten it by 3")
    expect(page.get_by_test_id("chat-send")).to_be_disabled()


def test_who_writes_too_fast_is_told_and_loses_nothing(
    page: Page, live_stack: Any, make_stack: Callable[..., str]
) -> None:
    page.goto(f"{live_stack.url}/stacks/{make_stack('Flooded Owls')}")
    field, problem = page.get_by_test_id("chat-input"), page.get_by_test_id("chat-problem")
    for n in range(40):
        field.fill(f"message {n}")
        field.press("Enter")
        expect(page.locator(".chat-sending")).to_have_count(0)
        if problem.count():
            break
    expect(problem).to_contain_text("Try again in a few seconds", ignore_case=True)
    expect(field).to_have_value(f"message {n}")
