# SPDX-License-Identifier: BSD-3-Clause
"""A TIFF with flipped bytes is staged or refused, never anything else."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from slidegate.domain.errors import SlidegateError
from slidegate.domain.values import ImageRef
from slidegate.sources.folder import FolderSource

pytestmark = pytest.mark.slow

KINDS = {
    "a.ome.tif": {"tile": (64, 64), "compression": "zlib", "metadata": {"axes": "CYX"}},
    "b.tif": {"rowsperstrip": 9, "compression": "lzw", "photometric": "minisblack"},
    "c.tif": {"photometric": "minisblack", "bigtiff": True, "byteorder": ">"},
    "d.tif": {"imagej": True},
    "e.tif": {"tile": (32, 32), "compression": "zstd", "predictor": True, "photometric": "minisblack"},
}


def mutate(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice([1, 1, 2, 5, 20])):
        end = len(changed) if dice.random() < 0.4 else min(len(changed), 700)
        at = dice.randrange(end)
        changed[at] = dice.choice(
            [0, 1, 127, 128, 255, dice.randrange(256), changed[at] ^ (1 << dice.randrange(8))]
        )
    if dice.random() < 0.1:
        del changed[dice.randrange(len(changed)) :]
    return bytes(changed)


def survive(folder: Path, rounds: int, seed: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (2, 100, 90), np.uint16)
    dice = random.Random(seed)
    contents = {}
    for name, options in KINDS.items():
        tifffile.imwrite(folder / name, pixels, **options)
        contents[name] = (folder / name).read_bytes()
    outcomes = set()
    for _ in range(rounds):
        name = dice.choice(sorted(contents))
        (folder / name).write_bytes(mutate(contents[name], dice))
        target = folder / "place"
        target.mkdir()
        try:
            FolderSource().stage(ImageRef("folder", str(folder / name)), target / "image")
            outcomes.add("staged")
        except SlidegateError as error:
            assert list(target.iterdir()) == []
            outcomes.add(error.code)
        shutil.rmtree(target)
    assert {"staged", "image-damaged", "image-truncated"} <= outcomes


def test_flipped_bytes_are_survived(tmp_path):
    survive(tmp_path, 100, 7)


@pytest.mark.slow
def test_many_flipped_bytes_are_survived(tmp_path):
    survive(tmp_path, 3000, 8)
