# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.api.service import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that leave no mess: take people of your own."""
    with serving(tmp_path_factory.mktemp("api")) as made:
        made.offer()
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service"
