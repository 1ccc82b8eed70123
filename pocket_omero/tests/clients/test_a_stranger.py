# SPDX-License-Identifier: GPL-2.0-or-later
"""A stranger with a TIFF: one command, a browser, a rectangle drawn; a restart, and it is still there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import omero
import pytest
import tifffile
from omero.gateway import BlitzGateway
from playwright.sync_api import Browser, Page, expect

from .visit import draw_rectangle, node, opener, save_button

pytestmark = [
    pytest.mark.omero,
    pytest.mark.slow,
    pytest.mark.needs("omero-web", "omero-iviewer", "chromium"),
    pytest.mark.client("omero-web in Chromium"),
    pytest.mark.pocket,
]


expect.set_options(timeout=40_000)


@dataclass(frozen=True)
class Told:
    """What the command prints."""

    web: str
    port: int
    person: str
    password: str


@contextmanager
def _command(folder: Path, port: int, web_port: int) -> Iterator[Told]:
    """``pocket-omero web FOLDER``, until Ctrl-C."""
    command = [str(Path(sys.executable).with_name("pocket-omero")), "web", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--web-port", str(web_port)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        [(person, password)] = re.findall(r"^\s+(demo)\s+password (\S+)", said, re.MULTILINE)
        [url] = re.findall(r"OMERO.web: (\S+)", said)
        yield Told(url, port, person, password)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _logged_in(chromium: Browser, told: Told) -> Page:
    page = chromium.new_context(viewport={"width": 1500, "height": 900}, base_url=told.web).new_page()
    page.set_default_timeout(40_000)
    page.goto("/webclient/login/")
    page.fill("input[name=username]", told.person)
    page.fill("input[name=password]", told.password)
    page.click("input[type=submit]")
    return page


def _take(page: Page, name: str) -> None:
    folder = os.environ.get("POCKET_PICTURES")
    if folder:
        page.screenshot(path=f"{folder}/stranger-{name}.png")


def test_a_stranger_finds_their_tiff_and_what_they_drew(chromium: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "stranger"
    (folder / "my images").mkdir(parents=True)
    y, x = np.mgrid[:700, :900]
    rings = (128 + 127 * np.sin(np.hypot(x - 450, y - 350) / 20)).astype(np.uint8)
    tifffile.imwrite(folder / "my images" / "rings.tif", rings)
    port, web_port = _free(), _free()
    with _command(folder, port, web_port) as told:
        page = _logged_in(chromium, told)
        opener(page, "stranger").click()  # a project, called as the folder
        opener(page, "my images").click()
        node(page, "rings.tif").click()
        expect(page.locator("#metadata_general")).to_contain_text("900 x 700")
        page.wait_for_load_state("networkidle")
        _take(page, "tree")
        with page.context.expect_page() as opened:
            page.locator("#dataIcons li.row img").first.dblclick()
        viewer = opened.value
        viewer.locator("canvas").first.wait_for()
        viewer.wait_for_load_state("networkidle")
        draw_rectangle(viewer)
        save_button(viewer).click()
        expect(save_button(viewer)).to_be_disabled()
        viewer.wait_for_load_state("networkidle")
        _take(viewer, "drawn")
        page.context.close()
    with _command(folder, port, web_port) as told:
        rectangle, *_ = _shapes(told)
        assert isinstance(rectangle, omero.model.Rectangle)
        page = _logged_in(chromium, told)
        opener(page, "stranger").click()  # a project, called as the folder
        opener(page, "my images").click()
        node(page, "rings.tif").click()
        expect(page.locator("#metadata_general")).to_contain_text("ROI Count")
        page.wait_for_load_state("networkidle")
        _take(page, "again")
        page.context.close()


def _shapes(told: Told) -> list[Any]:
    conn = BlitzGateway(told.person, told.password, host="127.0.0.1", port=told.port, secure=True)
    assert conn.connect(), conn.getLastError()
    try:
        [image] = conn.getObjects("Image", attributes={"name": "rings.tif"})
        found = conn.getRoiService().findByImage(image.getId(), None).rois
        return [shape for roi in found for shape in roi.copyShapes()]
    finally:
        conn.close()
