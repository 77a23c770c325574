"""What was spent today, on the fleet page: for operators, as the ledger is, by stack, without a reload."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from supabase import Client

pytestmark = pytest.mark.browser


@pytest.fixture
def spender(make_stack: Callable[..., str]) -> str:
    return make_stack("Big Spender")


def row_of(page: Page, name: str) -> Any:
    return page.get_by_test_id("spent-row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def cells(*texts: str) -> list[re.Pattern[str]]:
    return [re.compile(f"^{re.escape(text)}$") for text in texts]


def test_an_operator_sees_todays_calls_tokens_and_dollars_by_stack(
    *,
    page: Page,
    live_stack: Any,
    service: Client,
    spender: str,
    spend: Callable[..., None],
    sign_in: Callable[[Page], None],
) -> None:
    spend(spender, usd="1200.5")
    spend(spender, usd="34.061", error="503")
    page.goto(live_stack.url)
    sign_in(page)
    page.get_by_test_id("spending").locator("summary").click()
    row = row_of(page, "Big Spender")
    expect(row.get_by_role("cell")).to_have_text(cells("2", "1", "3,000", "$1,234.56"))
    expect(page.get_by_test_id("spent-row").first).to_contain_text("Big Spender")  # the dearest first
    expect(page.get_by_test_id("spent-usd")).to_have_text(re.compile(r"^\$1,234\.56$"))  # what is simulated is free
    ledger = service.table("spending_today").select("calls,cost_usd").execute().data
    assert sum(Decimal(str(line["cost_usd"])) for line in ledger) == Decimal("1234.561")

    spend(spender, usd="0.439", tokens=3_000)
    # The page asks every ten seconds.
    expect(row.get_by_role("cell")).to_have_text(cells("3", "1", "6,000", "$1,235.00"), timeout=20_000)
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Big Spender")).to_be_visible()


def test_what_a_deleted_stack_spent_stays_counted(
    *,
    page: Page,
    live_stack: Any,
    service: Client,
    spender: str,
    spend: Callable[..., None],
    sign_in: Callable[[Page], None],
) -> None:
    spend(spender, usd="77.25")
    page.goto(live_stack.url)
    sign_in(page)
    page.get_by_test_id("spending").locator("summary").click()
    expect(row_of(page, "Big Spender")).to_have_count(1)
    service.table("agent_stacks").delete().eq("id", spender).execute()
    expect(row_of(page, "Big Spender")).to_have_count(0)
    expect(row_of(page, "Deleted stacks")).to_contain_text("$77.25")


def test_visitors_see_no_cost_and_cannot_ask_for_it(
    page: Page, live_stack: Any, spender: str, spend: Callable[..., None]
) -> None:
    spend(spender, usd="5")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{live_stack.url}/?q=Big")
    expect(page.get_by_test_id("stack-row")).to_have_count(1)
    expect(page.get_by_test_id("spending")).to_have_count(0)
    assert not [url for url in asked if "spending" in url]
    refused = page.request.get(
        f"{live_stack.api_url}/rest/v1/spending_today", headers={"apikey": live_stack.publishable_key}
    )
    assert refused.status == 401
