"""Twenty ideas of the simulated team, each page opened in the sealed frame of a real browser and used."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from injections import ATTEMPTS
from playwright.sync_api import FrameLocator, Page, expect

from agents.builder import agent as builder
from agents.communicator import agent as communicator
from agents.planner import agent as planner
from agents.reviewer import agent as reviewer
from agents.simulated.compose import read_built
from agents.simulated.project import feature_for, project
from agents.testing import FakeStack, play

pytestmark = pytest.mark.browser
IDEAS = (
    *("Focus timer", "Travel phrase flashcards", "Kitchen unit converter", "Planet quiz", "Water tracker"),
    *("Bill splitter", "Sprint board", "Doodle canvas", "Garden journal", "Shopping list"),
    *("Meditation bell", "Bird quiz", "Habit tracker", "Loan calculator", "Wedding planning board"),
    *("Pixel art", "Dream diary", "Chores checklist", "Something nobody ever heard of", "Tea <b>&</b> \"cake\" {{x}}"),
)
FRAME = Path(__file__).parents[3] / "dashboard" / "public" / "frame.html"
SITE = "http://show.invalid"
AROUND = """<!doctype html><title>around</title><iframe sandbox="allow-scripts" width="1200" height="800"></iframe>
<script>
const frame = document.querySelector("iframe");
window.show = (html) => {
  const greeted = (event) => {
    if (event.source !== frame.contentWindow) return;
    removeEventListener("message", greeted);
    frame.contentWindow.postMessage({ html }, "*");
  };
  addEventListener("message", greeted);
  frame.src = "/frame.html";
};
</script>"""


@cache
def finished(idea: str) -> FakeStack:
    stack = FakeStack()
    stack.set_idea(idea, "A page for everybody.")
    play(stack, (planner, builder, communicator, reviewer))
    return stack


@pytest.fixture
def page(page: Page) -> Page:
    """A page whose only addresses are the frame's own document and the one around it."""
    page.route(f"{SITE}/", lambda route: route.fulfill(body=AROUND, content_type="text/html"))
    page.route(f"{SITE}/frame.html", lambda route: route.fulfill(path=FRAME, content_type="text/html"))
    page.route(f"{SITE}/favicon.ico", lambda route: route.fulfill(status=204))
    return page


def opened(page: Page, html: str) -> FrameLocator:
    page.goto(f"{SITE}/")
    page.evaluate("(html) => show(html)", html)
    frame = page.frame_locator("iframe")
    frame.locator("h1").wait_for()
    return frame


def features_of(stack: FakeStack) -> set[str]:
    """The features that the builder's finished todos asked for."""
    idea: dict[str, Any] = stack.idea or {}
    made = project({"stack": {"id": str(stack.snapshot().stack.id)}, "idea": idea})
    todos = [todo["content"] for todo in stack.todos if todo["assigned_to"] == "builder"]
    found = [feature_for(made, text) for text in todos if not text.startswith("Repair")]
    return {feature.id for feature in found if feature is not None}


@pytest.mark.parametrize("idea", IDEAS)
def test_the_page_has_what_its_todos_asked_for_and_works_without_an_error(page: Page, idea: str) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    stack = finished(idea)
    html = stack.artifacts[-1]["content"]
    frame = opened(page, html)
    expect(frame.locator("h1")).to_have_text(idea)
    wanted = features_of(stack)
    assert len(wanted) >= 4
    for feature in wanted:
        section = frame.locator(f"#feature-{feature}")
        expect(section).to_be_visible()
        for button in section.get_by_role("button").all()[:3]:
            if button.is_visible() and button.is_enabled():
                button.click()
    assert problems == []
    built = read_built(html)
    assert built is not None
    assert built.defect is None


def test_no_two_pages_look_alike(page: Page) -> None:
    seen = set()
    for idea in IDEAS:
        frame = opened(page, finished(idea).artifacts[-1]["content"])
        seen.add(" ".join(frame.locator("body").inner_text().split()))
    assert len(seen) == len(IDEAS) == 20


def test_every_version_on_the_way_opens_without_an_error(page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    for artifact in finished(IDEAS[0]).artifacts:
        opened(page, artifact["content"])
    assert problems == []


@pytest.mark.parametrize("text", ATTEMPTS)
def test_what_people_wrote_is_text_on_the_page_and_breaks_out_of_nothing(page: Page, text: str) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    stack = FakeStack(phase="building")
    stack.set_idea(text[:120], text)
    stack.add_todo("Build the core", priority=10)
    stack.add_todo(text, assigned_by="operator")
    stack.say(f"Please add this: {text}", "Ada")
    play(stack, (planner, builder, communicator, reviewer))
    frame = opened(page, stack.artifacts[-1]["content"])
    assert page.evaluate("window.pwned") is None
    assert frame.locator("html").evaluate("() => window.pwned") is None
    assert len(page.frames) == 2
    assert page.url == f"{SITE}/"
    assert problems == []
