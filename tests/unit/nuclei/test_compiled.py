# SPDX-License-Identifier: BSD-3-Clause
"""Compiled code is kept where it can be used, and does not depend on the processor's vector instructions."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from slidegate_analysis.nuclei import compiled


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Yield a folder that stands for the installed package, and put Numba's setting back."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "one.py").write_text("@njit\ndef f(): return 1\n")
    (folder / "two.py").write_text("TEXT = 1\n")
    monkeypatch.setattr(compiled, "HERE", folder)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    return folder


def test_a_change_in_any_compiled_source_means_another_folder(package):
    first = compiled.keep_compiled_code()
    (package / "two.py").write_text("TEXT = 2\n")
    assert compiled.keep_compiled_code() == first
    (package / "one.py").write_text("@njit\ndef f(): return 2\n")
    assert compiled.keep_compiled_code() != first
    assert str(compiled.keep_compiled_code()) == numba.config.CACHE_DIR


def test_a_folder_that_cannot_be_written_to_is_copied(package, monkeypatch):
    beside = compiled.keep_compiled_code()
    (beside / "nuclei_1").mkdir()
    (beside / "nuclei_1" / "f.nbc").write_bytes(b"code")
    monkeypatch.setattr(compiled, "_writable", lambda folder: False)
    copy = compiled.keep_compiled_code()
    assert copy != beside
    assert (copy / "nuclei_1" / "f.nbc").read_bytes() == b"code"
    assert (copy.stat().st_mode & 0o77) == 0


def test_a_place_that_is_no_folder_counts_as_not_writable(package):
    (package / "__pycache__").write_text("a file")
    assert compiled.keep_compiled_code().is_dir()


def test_a_place_named_in_the_environment_wins(package, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert compiled.keep_compiled_code() == tmp_path / "mine"


BITS = """
import hashlib, numpy as np
from slidegate_analysis.images import plan_blocks
from slidegate_analysis.nuclei.detect import ReliefDetector, levels_of_array
from slidegate_analysis.nuclei.geometry import geometry_for
from slidegate_analysis.nuclei.measure import intensities, outline
chance = np.random.default_rng(0)
rows, columns = np.indices((300, 300))
image = chance.normal(200, 9, rows.shape)
for _ in range(120):
    y, x = chance.uniform(0, 300, 2)
    a, b = chance.uniform(5, 11, 2)
    image[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] += chance.uniform(300, 4000)
image = np.clip(image, 0, 65535).astype(np.uint16)
geometry = geometry_for(16.0)
detector = ReliefDetector(geometry, levels_of_array(image, geometry, 0.5))
block = plan_blocks(image.shape, 300, 0)[0]
outlines = outline(detector.detect(image, block, image.shape), block, image.shape)
values = intensities(image, (0, 0), outlines, outlines.windows(image.shape)[0])
everything = outlines.ids.tobytes() + outlines.eccentricities.tobytes() + values.tobytes()
print(len(outlines.ids), hashlib.sha256(everything).hexdigest())
"""


@pytest.mark.slow
def test_vector_instructions_do_not_change_a_bit(tmp_path):
    seen = set()
    for name, features in (("", ""), ("generic", ""), ("x86-64-v3", "+fma,+avx2")):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / f"cache-{name}")}
        if name:
            environment |= {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
        done = subprocess.run(
            [sys.executable, "-c", BITS], env=environment, capture_output=True, text=True, check=True
        )
        assert int(done.stdout.split()[0]) > 60
        seen.add(done.stdout)
    assert len(seen) == 1
