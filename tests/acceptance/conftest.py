# SPDX-License-Identifier: BSD-3-Clause
"""The command as people have it, with the nuclei workflow installed once for all tests of a session."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def workflows() -> Path:
    """The bundles that make install has put beside the command."""
    folder = Path(sys.prefix) / "share" / "slidegate" / "workflows"
    if not (folder / "nuclei" / "workflow.json").exists():
        pytest.fail("the nuclei workflow is not bundled: run make install")
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, workflows: Path) -> Path:
    """A SLIDEGATE_HOME whose embedded site has the nuclei workflow."""
    return new_home(tmp_path_factory.mktemp("home"))


def new_home(folder: Path) -> Path:
    """Make a SLIDEGATE_HOME of an empty folder, with the nuclei workflow at its embedded site."""
    done = call_slidegate(folder, "workflow", "list")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def real_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the real fluorescence image and its hand-made mask, fetched by pip once."""
    folder = ROOT / "build" / "demo" / "images" / "real"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch-test-image"), str(folder)], check=True)
    return folder


@pytest.fixture
def slidegate(home: Path) -> Call:
    """Call the command; it may end with any exit code."""

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return call_slidegate(home, *arguments, **environment)

    return call


@pytest.fixture
def ask(slidegate: Call) -> Callable[..., dict[str, Any]]:
    """Call the command with --json and return what it printed."""

    def call(*arguments: object) -> dict[str, Any]:
        done = slidegate(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    return call


def call_slidegate(home: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    return subprocess.run(
        [str(SLIDEGATE), *(str(each) for each in arguments)],
        env={**os.environ, "SLIDEGATE_HOME": str(home), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        check=False,
    )
