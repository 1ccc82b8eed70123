# SPDX-License-Identifier: GPL-2.0-or-later
"""A person at OMERO.web: logged in without a browser, or drawing in one."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

import requests
from playwright.sync_api import Locator, Page, expect
from pocket_omero.web import Web


class Visit(requests.Session):
    """A session of requests that is logged in at OMERO.web."""

    def __init__(self, web: Web, person: tuple[str, str]) -> None:
        super().__init__()
        self.web = web
        page = self.go("/webclient/login/")
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        self.headers["Referer"] = web.url
        fields = {
            "csrfmiddlewaretoken": token,
            "server": "1",
            "username": person[0],
            "password": person[1],
        }
        self.answer = self.post(web.url + "/webclient/login/", data=fields, timeout=60, allow_redirects=False)
        self.headers["X-CSRFToken"] = self.cookies.get("csrftoken", "")

    def go(self, path: str, **more: Any) -> requests.Response:
        """Get a page."""
        return self.get(self.web.url + path, timeout=60, **more)

    def submit(self, path: str, data: Any = None, **more: Any) -> requests.Response:
        """Send a form."""
        return self.post(self.web.url + path, data=data, timeout=60, **more)


def why(answer: requests.Response) -> str:
    """What a page says when it fails, in a few lines."""
    text = re.sub(r"<[^>]+>", " ", answer.text)
    return f"{answer.status_code} {answer.url}\n{' '.join(text.split())[-900:]}"


def draw_rectangle(page: Page) -> None:
    """Draw a rectangle in OMERO.iviewer with the mouse: a click where it begins, a click where it ends.

    Until the regions of the image are there iviewer takes clicks, and does nothing: all begins anew then.
    """
    page.locator("a", has_text=re.compile(r"ROIs \[")).click()
    tool = page.locator(".draw-rectangle-icon:not(.disabled-color)")
    until = time.monotonic() + 60
    while not save_button(page).is_enabled():
        assert time.monotonic() < until, "iviewer does not draw"
        tool.click()
        if "draw-active" not in (tool.get_attribute("class") or ""):
            continue
        box = page.locator("canvas").first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for side in (-1, 1):
            page.mouse.move(x, y, steps=4)
            page.mouse.move(x + 80 * side, y + 50 * side, steps=4)
            page.mouse.click(x + 80 * side, y + 50 * side)
        with suppress(AssertionError):
            expect(save_button(page)).to_be_enabled(timeout=2000)


def save_button(page: Page) -> Locator:
    """What saves regions in OMERO.iviewer."""
    return page.locator("button:visible", has_text=re.compile(r"^\s*Save\s*$"))


def node(page: Page, name: str) -> Locator:
    """What has this name in the tree of the webclient."""
    return page.locator("#dataTree .jstree-anchor", has_text=name)


def opener(page: Page, name: str) -> Locator:
    """The small triangle before a name in the tree."""
    return page.locator(f"xpath=//*[@id='dataTree']//li[span[contains(., '{name}')]]/i").last
