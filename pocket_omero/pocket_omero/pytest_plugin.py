# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests of any OMERO project. pytest finds them wherever pocket OMERO is installed.

`pocket_omero` is an OMERO with three people (`pocket_omero.testing.Omero`), started when a test first asks
for it; `pocket_omero_web` an OMERO.web beside it. For images of your own, override `pocket_omero_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # nothing of OMERO is imported before a test asks for it
    from pocket_omero.faults import Faults
    from pocket_omero.testing import Omero
    from pocket_omero.web import Web


@pytest.fixture(scope="session")
def pocket_omero_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served: override it for images and people of your own."""
    from pocket_omero.testing import fill

    folder = tmp_path_factory.mktemp("pocket-omero")
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def pocket_omero(pocket_omero_folder: Path) -> Iterator[Omero]:
    """An OMERO for the whole run, in this process; a real one where OMERO_HOST names it."""
    from pocket_omero.server import Server
    from pocket_omero.testing import PEOPLE, Omero, real

    if elsewhere := real():
        yield elsewhere
        return
    with Server(pocket_omero_folder) as server:
        yield Omero(server.host, server.port, PEOPLE, server)


@pytest.fixture
def pocket_omero_faults(pocket_omero: Omero) -> Iterator[Faults]:
    """What goes wrong at it, until the end of the test."""
    faults = pocket_omero.server.faults
    yield faults
    faults.clear()


@pytest.fixture(scope="session")
def pocket_omero_web(pocket_omero: Omero, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """An unmodified OMERO.web beside it, for the whole run."""
    from pocket_omero.web import Web

    web = Web.start(pocket_omero, tmp_path_factory.mktemp("omero-web"))
    try:
        yield web
    finally:
        web.stop()
