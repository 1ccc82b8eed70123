# SPDX-License-Identifier: BSD-3-Clause
"""What unit tests share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "slidegate-test", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
