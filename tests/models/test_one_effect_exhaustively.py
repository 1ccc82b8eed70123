# SPDX-License-Identifier: BSD-3-Clause
"""The model of submit, claim and commit, in every order of its steps: one effect; and without, not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("one_effect.pml")

pytestmark = pytest.mark.slow


@pytest.fixture
def explore(tmp_path: Path):
    """Return a function that explores the model whole, and says what it found."""
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell(f"{' and '.join(missing)} missing: run sudo scripts/system-packages")

    def run(*defines: str) -> str:
        subprocess.run(["spin", *defines, "-a", str(MODEL)], cwd=tmp_path, check=True, capture_output=True)
        compiler = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"]
        subprocess.run(compiler, cwd=tmp_path, check=True)
        done = subprocess.run(["./pan", "-m100000"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert "Search not completed" not in done.stdout or "errors: 1" in done.stdout, done.stdout
        return done.stdout

    return run


@pytest.mark.parametrize("bounds", [("-DFAULTS=1",), ("-DFAULTS=0", "-DMEMBERS=2")], ids=" ".join)
def test_every_order_of_all_steps_leads_to_one_effect_that_everybody_is_told(explore, bounds):
    found = explore(*bounds)
    assert "errors: 0" in found, found
    assert "max search depth too small" not in found
    states = int(found.partition(" states, stored")[0].split()[-1])
    assert states > 10_000, found


@pytest.mark.parametrize("precaution", ["CLAIM", "OWNER", "LINK"])
def test_a_precaution_left_out_is_noticed(explore, precaution):
    found = explore("-DFAULTS=1", f"-DWITHOUT_{precaution}")
    assert "assertion violated" in found, found
    assert "errors: 1" in found, found


@pytest.mark.parametrize("economy", ["FIND"])
def test_what_only_saves_arrays_is_not_needed_for_one_effect(explore, economy):
    assert "errors: 0" in explore("-DFAULTS=1", f"-DWITHOUT_{economy}")
