# SPDX-License-Identifier: BSD-3-Clause
"""Every test of the store that takes one of these runs twice: on SQLite, and on a real PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from slidegate.store import Store
from tests.postgres import Postgres

BOTH = ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])]


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of an empty database with all tables, to be copied."""
    url = postgres.create()
    Store.open(url).close()
    return url.partition("@/")[2].partition("?")[0]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/slidegate.db"
        return
    server = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of SQLite with all tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "slidegate.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[str]:
    """The URL of a store that holds nothing yet."""
    if request.param == "sqlite":
        shutil.copy(migrated_file, tmp_path / "slidegate.db")
        yield f"sqlite:///{tmp_path}/slidegate.db"
        return
    server = request.getfixturevalue("postgres")
    url = server.create(like=request.getfixturevalue("migrated"))
    yield url
    server.drop(url)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store that holds nothing yet."""
    opened = Store.open(url)
    yield opened
    opened.close()
