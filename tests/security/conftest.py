# SPDX-License-Identifier: BSD-3-Clause
"""A gate in anna's account, one for all attacks, and everything that sshd starts because of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.security.gatehouse import Gatehouse, Watch


@pytest.fixture(scope="session")
def gatehouse(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Gatehouse:
    return Gatehouse(cluster, "anna", tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def watch(gatehouse: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    made = Watch(gatehouse.cluster, tmp_path_factory.mktemp("trace") / "execve")
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
