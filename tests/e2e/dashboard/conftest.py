"""A real Chromium on a real page: the stack is `live_stack`, rows are made with the service key."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from browsers import open_browser
from playwright.sync_api import Browser, BrowserContext, Page
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

# A busy machine paints late; where a number is promised, the test says it itself.
PATIENCE_MS = 15_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser: nothing stored, nobody signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def service(live_stack: Any) -> Iterator[Client]:
    """The service key's door: makes what the tests look at."""
    with httpx.Client(timeout=30) as http:
        yield create_client(live_stack.api_url, live_stack.service_key, SyncClientOptions(httpx_client=http))


@pytest.fixture
def make_stack(service: Client) -> Iterator[Callable[..., str]]:
    """Make a stack of a name, in a state; returns its id. Everything made is deleted afterwards."""
    made: list[str] = []

    def make(name: str, *, state: str = "idle") -> str:
        row = {"participant_name": name, "execution_state": state}
        stack_id: str = service.table("agent_stacks").insert(row).execute().data[0]["id"]
        made.append(stack_id)
        return stack_id

    yield make
    if made:
        service.table("agent_stacks").delete().in_("id", made).execute()


@pytest.fixture
def sign_in(live_stack: Any) -> Callable[[Page], None]:
    """Sign the person at a page in as the operator."""

    def act(page: Page) -> None:
        page.get_by_test_id("sign-in").click()
        page.get_by_label("E-mail").fill(live_stack.operator_email)
        page.get_by_label("Password").fill(live_stack.operator_password)
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("account").wait_for()

    return act


@pytest.fixture
def publish(service: Client) -> Callable[[str, str], None]:
    """Publish a page as version 1 of a stack."""

    def act(stack_id: str, html: str) -> None:
        row = {"stack_id": stack_id, "version": 1, "size_bytes": len(html.encode())}
        # The body goes first in a viewer's eyes: the artifact's row is what makes the page fetch it.
        artifact_id = service.table("artifacts").insert(row).execute().data[0]["id"]
        service.table("artifact_bodies").insert({"artifact_id": artifact_id, "content": html}).execute()

    return act


@pytest.fixture
def spend(service: Client) -> Iterator[Callable[..., None]]:
    """Put a call of today into the ledger, a third of its tokens the reply's; the stack's rows are deleted afterwards."""
    spenders: set[str] = set()

    def act(stack_id: str, *, usd: str, tokens: int = 1_500, error: str | None = None) -> None:
        row = {
            **{"id": str(uuid.uuid4()), "run_id": str(uuid.uuid4()), "stack_id": stack_id, "agent_type": "builder"},
            **{"attempt": 1, "provider": "groq", "model": "m", "cost_usd": usd, "error": error},
            **{"tokens_in": tokens * 2 // 3, "tokens_out": tokens // 3},
        }
        spenders.add(stack_id)
        service.table("llm_calls").insert(row).execute()

    yield act
    service.table("llm_calls").delete().in_("stack_id", list(spenders)).execute()
