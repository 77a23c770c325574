"""When a page has painted something, by its own eyes and the machine's clock."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from playwright.async_api import Browser, Page, async_playwright

ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)
PATIENCE_MS = 60_000

# A change is seen by a MutationObserver; the next animation frame paints it, and the message after that comes behind
# the paint. Date.now() is the clock that Python's time.time() reads.
EYES = """
window.watches = {};
window.watchFor = (name, selector, text) => {
  const seen = () => [...document.querySelectorAll(selector)].some((each) => each.textContent.includes(text));
  window.watches[name] = new Promise((resolve) => {
    const painted = () => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve(Date.now());
      channel.port2.postMessage(null);
    });
    if (seen()) return painted();
    const observer = new MutationObserver(() => {
      if (!seen()) return;
      observer.disconnect();
      painted();
    });
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  });
};
"""


class Watch:
    """One thing to be painted: armed when made, so that what happens afterwards cannot be missed."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._name = name

    async def painted(self) -> float:
        """When it was on the screen, in seconds since the epoch."""
        found: float = await self._page.evaluate("(name) => window.watches[name]", self._name)
        return found / 1000


async def watch(page: Page, selector: str, text: str = "") -> Watch:
    """Look out for an element that fits `selector` and holds `text`."""
    name = uuid4().hex
    await page.evaluate("([name, selector, text]) => window.watchFor(name, selector, text)", [name, selector, text])
    return Watch(page, name)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """The Chromium that scripts/_chromium.sh found."""
    # Chromium's own sandbox refuses to run as root.
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.getuid() == 0 else list(ARGUMENTS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=arguments)
        yield browser
        await browser.close()


async def open_page(browser: Browser, address: str) -> Page:
    """A page of its own browser context, so that no page is in the background of another."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(EYES)
    page = await context.new_page()
    await page.goto(address)
    return page
