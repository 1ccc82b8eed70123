# SPDX-License-Identifier: BSD-3-Clause
"""The commands of the page that people read when something fails, typed after something has failed."""

import shlex

import numpy as np
import pytest
import tifffile

from tests.unit.house.test_howto import blocks

pytestmark = pytest.mark.slow
FAILS_AGAIN = "slidegate retry last"


def test_every_command_of_the_page_works_in_its_order(slidegate, tmp_path):
    image = tmp_path / "no-pixel-size.tif"
    tifffile.imwrite(image, np.full((40, 50), 7, np.uint16))
    failed = slidegate("run", "nuclei", image, "--out", tmp_path / "out")
    assert "[pixel-size-missing]" in failed.stdout

    typed = [line for _, text in blocks("how-to/when-something-fails.md") for line in text.splitlines()]
    assert len(typed) == 10
    said = {}
    for line in typed:
        done = slidegate(*shlex.split(line)[1:])
        assert done.returncode == (line == FAILS_AGAIN), f"{line}\n{done.stdout}{done.stderr}"
        said[line] = done.stdout + done.stderr

    assert "[pixel-size-missing]" in said["slidegate show last"]
    assert "| " in said["slidegate show last"]  # the end of its log
    assert "-- plan" in said["slidegate log last 1"]
    assert "nothing to cancel" in said["slidegate cancel last"]
