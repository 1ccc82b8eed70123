# SPDX-License-Identifier: BSD-3-Clause
"""What every test may rely on."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.cluster import Cluster, what_is_missing
from tests.postgres import postgres
from tests.sharing import Sharing, place_of

__all__ = ["postgres"]  # a fixture for all

# how long an example takes says how busy the computer is, and nothing else
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing:
    """Say which tests go to which process, where there are several."""
    config.option.loadscopereorder = False
    return Sharing(config, log)  # type: ignore[arg-type]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long, where several processes share the tests."""
    if hasattr(config, "workerinput"):
        items.sort(key=place_of)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what a person's laptop lacks, and fail it in CI: a skipped proof proves nothing."""
    missing = ""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        missing = "root: it uses other accounts or mounts"
    elif item.get_closest_marker("slurm"):
        missing = what_is_missing()
    elif item.get_closest_marker("ssh") and shutil.which("sshd", path="/usr/sbin") is None:
        missing = "sshd: run sudo scripts/system-packages"
    elif item.get_closest_marker("omero") and importlib.util.find_spec("IcePy") is None:
        missing = "zeroc-ice and omero-py: run make install-dev"
    if missing and os.environ.get("CI"):
        pytest.fail(f"this test needs {missing}")
    if missing:
        pytest.skip(f"needs {missing}")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for the whole run: leave both nodes up and no jobs behind. Mark its tests `slurm`."""
    folder = Path(tempfile.mkdtemp(prefix="sgc-"))
    with Cluster.start(folder) as started:
        yield started
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_home_of_a_person(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the Runs of the person who runs them."""
    monkeypatch.setenv("SLIDEGATE_HOME", f"{tmp_path}/slidegate-home")


@pytest.fixture(autouse=True)
def _umask_of_its_own() -> Iterator[None]:
    """Take back what code of the gate, which lets nobody else read, has set for this whole process."""
    umask = os.umask(0o077)
    os.umask(umask)
    yield
    os.umask(umask)
