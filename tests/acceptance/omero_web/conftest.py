# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the app share."""

from collections.abc import Iterator

import pytest

from tests.acceptance.omero_web.place import Place, open_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """OMERO, OMERO.web with the app, slidegate, for the tests of one file."""
    with open_place(tmp_path_factory.mktemp("place")) as started:
        yield started
