# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for the tests of any OMERO project. pytest finds them wherever pocket OMERO is installed.

`pocket_omero` is an OMERO with three people (`pocket_omero.testing.Omero`), started when a test first asks
for it; `pocket_omero_web` an OMERO.web beside it. For images and people of your own, override
`pocket_omero_folder` in the topmost conftest.py. Where some tests want another OMERO than the rest, override
`pocket_omero` beside them, with `pocket_omero_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
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
def pocket_omero_at() -> Iterator[Callable[..., Omero]]:
    """Serve a folder, in this process, until the end of the run; a real OMERO where OMERO_HOST names it.

    Call it with the folder, and with `people` where its people.yml has others than `testing.PEOPLE`:
    name and password by role.
    """
    from pocket_omero.server import Server
    from pocket_omero.testing import PEOPLE, Omero, real

    with ExitStack() as running:

        def at(folder: Path, people: Mapping[str, tuple[str, str]] = PEOPLE) -> Omero:
            if elsewhere := real():
                return elsewhere
            server = running.enter_context(Server(folder))
            return Omero(server.host, server.port, people, server)

        yield at


@pytest.fixture(scope="session")
def pocket_omero(pocket_omero_at: Callable[..., Omero], pocket_omero_folder: Path) -> Omero:
    """An OMERO for the whole run."""
    return pocket_omero_at(pocket_omero_folder)


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
