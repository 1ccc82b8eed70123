# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that is killed amidst of writing leaves every change whole, and loses none that was done."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pocket_omero.state import State

WRITER = """
import sys
from pathlib import Path
from pocket_omero.state import State

state = State(Path(sys.argv[1]))
while True:
    with state.change():
        image = state.new("Image", name="x" * 1000)
        for _ in range(20):
            state.new("Pixels", image=image)
    print(image.id, flush=True)
"""


@pytest.mark.slow
def test_a_killed_program_leaves_whole_changes_and_loses_none(tmp_path: Path) -> None:
    done = 0
    for rounds in range(1, 3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(7 * rounds):
                done = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        state = State(tmp_path)
        images = state.all("Image")
        assert len(images) >= done
        assert {len(state.many(image, "pixels")) for image in images} == {20}
        state.close()
