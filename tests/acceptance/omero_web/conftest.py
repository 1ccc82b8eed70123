# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the app share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.omero_web.place import APP, Place, open_place

CHROMIUM = Path("/usr/bin/chromium")
NEEDED = {
    CHROMIUM: "Chromium: run sudo scripts/system-packages",
    APP / "static" / "omero_slidegate" / "slidegate.js": "the elements for OMERO.web: run make install-dev",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """OMERO, OMERO.web with the app, slidegate, for the tests of one file."""
    with open_place(tmp_path_factory.mktemp("place")) as started:
        yield started


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a browser where a person's laptop lacks it, and fail it in CI."""
    missing = [words for path, words in NEEDED.items() if not path.exists()]
    if item.get_closest_marker("browser") is None or not missing:
        return
    if os.environ.get("CI"):
        pytest.fail(f"This test needs {missing[0]}", pytrace=False)
    pytest.skip(f"needs {missing[0]}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; it goes with its file: while Playwright lives, this thread has an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
