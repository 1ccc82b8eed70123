# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the tutorial, typed in their order."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import SLIDEGATE

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```\n(.*?)```", re.S)


def serve_for_a_moment(home: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Serve pages until they answer, and press Ctrl-C."""
    argv = [str(SLIDEGATE), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, env={**os.environ, "SLIDEGATE_HOME": str(home)}, **pipes) as process:
        link = process.stdout.readline().strip()
        assert httpx.get(link, timeout=30).headers["location"] == "/"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def test_the_commands_of_the_tutorial_work_in_their_order(slidegate, home, tmp_path):
    page = (ROOT / "docs" / "tutorial" / "first-run.md").read_text("utf-8")
    lines = [line for block in BLOCK.findall(page) for line in block.splitlines() if line]
    commands = [line for line in lines if line.startswith(".venv/bin/slidegate ")]
    assert len(commands) >= 7
    assert set(lines) - set(commands) == {"make demo"}  # which is walked in a fresh clone

    outputs = []
    for command in commands:
        words = shlex.split(command.replace("build/tutorial", str(tmp_path / "tutorial")))[1:]
        done = serve_for_a_moment(home, words) if words[0] == "serve" else slidegate(*words)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        outputs.append(done.stdout + done.stderr)

    assert "New run" in outputs[1]
    assert "nothing had to be done" in outputs[2]
    assert {path.name for path in (tmp_path / "tutorial").iterdir()} >= {"slide", "results", "larger"}
    assert (tmp_path / "tutorial" / "results" / "slide" / "report.html").exists()
