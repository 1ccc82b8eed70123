# SPDX-License-Identifier: GPL-2.0-or-later
"""The server that clients are tried with, an OMERO.web beside it, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from pocket_omero.testing import Omero, real
from pocket_omero.web import Web, running_web

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PEOPLE = """
groups:
  lab: read-annotate
  hidden: private
people:
  alice: {name: Alice Liddell, password: secret-a, groups: [lab, hidden]}
  bob: {name: Bob Builder, password: secret-b, groups: [lab]}
  root: {password: secret-r}
projects:
  Cells:
    owner: alice
    group: lab
    datasets:
      Channels: ["cells/*"]
datasets:
  Slides: {owner: alice, group: lab, images: ["slides/*"]}
"""


def fill(folder: Path) -> None:
    """Put into a folder what people have: an OME-TIFF with channels, and a slide in colours."""
    (folder / "people.yml").write_text(PEOPLE)
    for name in ("cells", "slides"):
        (folder / name).mkdir()
    random = np.random.default_rng(7)
    y, x = np.mgrid[:256, :320]
    cells = np.zeros((3, 2, 256, 320), np.uint16)
    for z in range(3):
        for channel in range(2):
            for cy, cx, size in random.uniform((0, 0, 6), (256, 320, 14), (25, 3)):
                spot = 8000 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / size**2)
                cells[z, channel] += spot.astype("u2")
    tifffile.imwrite(
        folder / "cells" / "cells.ome.tif",
        cells,
        metadata={
            "axes": "ZCYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
            "Channel": {"Name": ["DNA", "Tubulin"]},
        },
    )
    y, x = np.mgrid[:3600, :4800].astype(np.float32)
    rings = 128 + 100 * np.sin(np.hypot(x - 2400, y - 1800) / 60)
    slide = np.stack([rings, 255 - rings, 0.04 * x], axis=-1).astype(np.uint8)
    with tifffile.TiffWriter(folder / "slides" / "slide.tif") as writer:
        options = {"photometric": "rgb", "tile": (256, 256), "compression": "zlib"}
        writer.write(slide, subifds=3, **options)
        for level in (2, 4, 8):
            writer.write(slide[::level, ::level], subfiletype=1, **options)


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark here means."""
    config.addinivalue_line("markers", "pocket: of what only a pocket OMERO has; left out at a real one")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let clients warn as they like: they are not ours."""
    for kind in ("DeprecationWarning", "ResourceWarning", "FutureWarning"):
        item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server here serves."""
    folder = tmp_path_factory.mktemp("served")
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def place(pocket_omero_at: Callable[..., Omero], served: Path) -> Omero:
    """Where the clients log in: a pocket OMERO of this test process, or a real one."""
    return pocket_omero_at(served)


@pytest.fixture(autouse=True)
def _pocket_only(request: pytest.FixtureRequest) -> None:
    """Leave out, at a real server, what only a pocket OMERO has."""
    if request.node.get_closest_marker("pocket") and real() is not None:
        pytest.skip("only with a pocket OMERO")


@pytest.fixture(scope="session")
def web(place: Omero, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """An OMERO.web beside the server, with the apps that are installed."""
    with running_web(place, tmp_path_factory.mktemp("web")) as started:
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; it goes with its file: while Playwright lives, this thread has an event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
