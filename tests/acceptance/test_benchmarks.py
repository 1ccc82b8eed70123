# SPDX-License-Identifier: BSD-3-Clause
"""Every benchmark runs in its small form, and what must be exact is. (Speeds are facts to report.)"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r"FIGURE (.+?) = (\S+).*?\((.+?)\): (met|missed)")
NAMES = re.findall(r'^    "(\w+)": \(\[', (ROOT / "benchmarks" / "all.py").read_text("utf-8"), re.M)
WITH_A_TEST_OF_THEIR_OWN = {"chaos", "nuclei_on_cluster", "one_effect"}
WITHOUT_A_CLOCK = {
    "fuzz_gate", "one_effect_slurm", "same_answer", "quality", "staging", "big_slide_memory",
    "pocket_sessions",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITH_A_TEST_OF_THEIR_OWN])
def test_a_benchmark_prints_its_figures_and_meets_those_that_no_clock_decides(name):
    command = [sys.executable, str(ROOT / "benchmarks" / "all.py"), "--small", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = {match[1]: match[4] for match in FIGURE.finditer(done.stdout)}
    assert verdicts, done.stdout
    if name in WITHOUT_A_CLOCK:
        assert set(verdicts.values()) == {"met"}, done.stdout
