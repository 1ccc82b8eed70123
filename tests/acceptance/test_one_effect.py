# SPDX-License-Identifier: BSD-3-Clause
"""One effect per Attempt, whatever dies and whatever is lost; the small form of benchmarks/one_effect.py."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "one_effect.py"
FIGURE = re.compile(r"FIGURE (.+?) = (.+?) \(aim .+\): (met|missed)")

pytestmark = pytest.mark.slow


def test_each_attempt_has_one_true_effect_while_gates_crews_and_steps_are_killed_at_any_system_call():
    argv = [sys.executable, str(BENCHMARK), "16", "--crash-points", "16"]
    run = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout
    figures = {name: (value, verdict) for name, value, verdict in FIGURE.findall(run.stdout)}
    assert figures["effects per Attempt under faults"] == ("16/16", "met"), run.stdout
    assert figures["crash points with one true effect"] == ("16/16", "met"), run.stdout
    # The faults are real: a client that starts the job again on any error has more effects than it wanted.
    assert figures["effects too many, against naive retry"][1] == "met", run.stdout
    killed = re.search(r"gates killed +(\d+)", run.stdout)
    assert killed
    assert int(killed.group(1)) > 0
