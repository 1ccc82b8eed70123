# SPDX-License-Identifier: BSD-3-Clause
"""Somebody at a browser: pages that must not complain, and what axe finds in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect

AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 30
ACTIVE = """() => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    return e?.getAttribute('aria-label') ?? e?.id ?? '';
}"""


@contextmanager
def visiting(
    chromium: Browser, state: Any, url: str, theme: str = "light", width: int = 1280
) -> Iterator[Page]:
    """Open a page of somebody who has signed in; when the block ends, nothing may have gone wrong in it."""
    context = chromium.new_context(
        base_url=url, storage_state=state, color_scheme=theme, viewport={"width": width, "height": 860}
    )
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    page = context.new_page()
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # The browser itself writes a line for each answer that is no success: those are told on the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
        assert errors == []
    finally:
        context.close()


def serious(page: Page, rule: str | None = None) -> list[tuple[str, list[str]]]:
    """Return what axe finds in a page that is serious or worse; by one of its rules, or by all."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    only = {"runOnly": [rule]} if rule else {}
    found = page.evaluate("only => axe.run({resultTypes: ['violations'], ...only})", only)
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def press_until(page: Page, key: str, label: str, times: int = 60) -> None:
    """Press a key until what has the focus is called so."""
    for _ in range(times):
        if label in page.evaluate(ACTIVE):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not reach {label!r}: {page.evaluate(ACTIVE)!r} has the focus")


def brush(page: Page, plot: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over a plot from one place to another, as shares of its width and height."""
    canvas = page.locator(f"{plot} canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)
    )
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()
