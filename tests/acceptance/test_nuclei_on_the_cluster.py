# SPDX-License-Identifier: BSD-3-Clause
"""Nuclei found at a cluster of which a node dies are those found here: benchmarks/nuclei_on_cluster.py."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "nuclei_on_cluster.py"

pytestmark = [pytest.mark.slurm, pytest.mark.ssh, pytest.mark.root, pytest.mark.slow]


def test_a_slide_over_two_nodes_of_which_one_dies_gives_the_same_files_as_here(home: Path) -> None:
    argv = [sys.executable, str(BENCHMARK), "--home", str(home)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "was switched off in the middle" in run.stdout
    assert "FIGURE files that differ, here and at a cluster that loses a node = 0/" in run.stdout, run.stdout
