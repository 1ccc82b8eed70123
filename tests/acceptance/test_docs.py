# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the tutorial, typed in their order."""

import re
import shlex
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```\n(.*?)```", re.S)


def test_the_commands_of_the_tutorial_work_in_their_order(slidegate, tmp_path):
    page = (ROOT / "docs" / "tutorial" / "first-run.md").read_text("utf-8")
    lines = [line for block in BLOCK.findall(page) for line in block.splitlines() if line]
    commands = [line for line in lines if line.startswith(".venv/bin/slidegate ")]
    assert len(commands) >= 7
    assert set(lines) - set(commands) == {"make demo"}  # which is walked in a fresh clone

    outputs = []
    for command in commands:
        words = shlex.split(command.replace("build/tutorial", str(tmp_path / "tutorial")))[1:]
        done = slidegate(*words)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        outputs.append(done.stdout + done.stderr)

    assert "New run" in outputs[1]
    assert "nothing had to be done" in outputs[2]
    assert {path.name for path in (tmp_path / "tutorial").iterdir()} >= {"slide", "results", "larger"}
    assert (tmp_path / "tutorial" / "results" / "slide" / "report.html").exists()
