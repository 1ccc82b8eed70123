# SPDX-License-Identifier: BSD-3-Clause
"""scripts/demo-omero goes the whole way by itself, and leaves nothing behind that runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.omero_web.place import ROOT, WORKFLOWS

pytestmark = [pytest.mark.omero, pytest.mark.slow]


def running_in(folder: Path) -> list[str]:
    """Return the command lines that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_the_demonstration_goes_the_whole_way_and_ends(real_image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    small = ["--check", "--size", "512", "--workflow", "count_bytes", "--folder", str(folder)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo-omero"), *small],
        env={**os.environ, "SLIDEGATE_WORKFLOWS_DIR": str(WORKFLOWS), "SITE": "local"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("run [0-9a-f]+ succeeded; on image [0-9]+: .*[0-9]+ Map", done.stdout), done.stdout
    assert running_in(folder) == []
