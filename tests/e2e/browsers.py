"""A real Chromium for the tests that look at pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
]


def find_chromium() -> str | None:
    """The Chromium that scripts/_chromium.sh found, or one on the path."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for a file of tests: it must not outlive it, for its event loop is in the way of asynchronous tests.

    Skips the test where there is no Chromium, and fails it under CI, where a skip would go unseen.
    """
    path = find_chromium()
    if path is None:
        message = "no Chromium: install one, or set CHROMIUM to its path"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    # Chromium's own sandbox refuses to run as root.
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.getuid() == 0 else ARGUMENTS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()
