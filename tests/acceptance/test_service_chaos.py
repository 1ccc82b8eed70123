# SPDX-License-Identifier: BSD-3-Clause
"""Nothing is lost and nothing done twice, whoever dies; the small form of benchmarks/chaos.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
FIGURE = re.compile(r"FIGURE (.+?) = (.+?) \(aim .+\): (met|missed)")

pytestmark = pytest.mark.slow


def test_runs_of_many_people_end_once_and_truly_while_services_and_gates_are_killed_at_random():
    argv = [sys.executable, str(BENCHMARK), "12", "--database", "sqlite", "--pause", "0.3", "1.2"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    figures = {name: (value, verdict) for name, value, verdict in FIGURE.findall(done.stdout)}
    assert figures["runs kept under chaos (sqlite)"] == ("12/12", "met"), done.stdout
    assert figures["runs done twice under chaos (sqlite)"] == ("0", "met"), done.stdout
    assert figures["untrue states or broken histories (sqlite)"] == ("0", "met"), done.stdout
    assert figures["deaths survived (sqlite)"][1] == "met", done.stdout
    assert "'workers'" in done.stdout
