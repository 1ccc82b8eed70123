# SPDX-License-Identifier: BSD-3-Clause
"""A disk that fills up while an image is analysed: one sentence, nothing half-written, and it heals."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = [pytest.mark.slow, pytest.mark.root]
ROOT = Path(__file__).parents[2]
SLIDEGATE = Path(sys.executable).with_name("slidegate")


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[Path]:
    """A SLIDEGATE_HOME on a disk of its own, of 8 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("megapixels", [3, 5, 12])
def test_a_run_on_a_full_disk_says_so_and_is_finished_by_the_same_command_when_there_is_room(
    small_home: Path, tmp_path: Path, megapixels: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 65535, (1000 * megapixels, 1000), np.uint16)
    image = tmp_path / "noise.tif"
    tifffile.imwrite(image, noise)
    command = [str(SLIDEGATE), "run", "count_bytes", str(image), "--out", str(tmp_path / "out"), "--json"]
    environment = os.environ | {
        "SLIDEGATE_HOME": str(small_home),
        "SLIDEGATE_WORKFLOWS_DIR": str(ROOT / "tests" / "data" / "workflows"),
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    full = run()
    assert full.returncode == 1, full.stdout + full.stderr
    assert "Traceback" not in full.stderr
    (task,) = json.loads(full.stdout)["images"]
    assert task["state"] == "failed"
    assert task["error"]["code"] in {"disk-full", "disk-full-here", "no-space"}, task
    assert not (tmp_path / "out").exists()

    subprocess.run(["mount", "-o", "remount,size=400m", str(small_home)], check=True)
    healed = run()
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert json.loads(healed.stdout)["outcome"] == "retried"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["noise"]
