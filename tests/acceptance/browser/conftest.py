# SPDX-License-Identifier: BSD-3-Clause
"""The browser of the tests here."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ROOT = Path(__file__).parents[3]
NEEDED = {
    CHROMIUM: "Chromium: run sudo scripts/system-packages",
    ROOT / "src" / "slidegate" / "api" / "pages" / "index.html": "the pages: run make install",
    ROOT / "web" / "node_modules" / "axe-core": "what the pages are built with: run make install",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what a person's laptop lacks, and fail it in CI."""
    missing = [words for path, words in NEEDED.items() if not path.exists()]
    if missing and os.environ.get("CI"):
        pytest.fail(f"This test needs {missing[0]}", pytrace=False)
    if missing:
        pytest.skip(f"needs {missing[0]}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; it goes with its file: while Playwright lives, this thread has an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
