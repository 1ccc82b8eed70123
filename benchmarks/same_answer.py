# SPDX-License-Identifier: BSD-3-Clause
"""Count the label pixels and table cells that differ between tilings, orders and numbers of workers.

usage: python benchmarks/same_answer.py [--full]

The named peer is the same image computed as one block.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from slidegate_analysis.images import open_labels, write_image
from slidegate_analysis.nuclei.synth import Slide
from slides import ROOT, StepProcess, figure, run_workflow, stage

# Side of a block, workers, order of the blocks (0: as planned).
KILLED = -1  # in place of an order: the second worker is killed in the middle of a block, and replaced
SMALL = ((512, 2, 3), (700, 1, 5), (256, 2, KILLED))
FULL = (
    (512, 1, 0),
    (512, 2, 3),
    (700, 2, 5),
    (1000, 1, 9),
    (1000, 2, 0),
    (2048, 1, 4),
    (2048, 2, 8),
    (512, 2, KILLED),
    (700, 2, KILLED),
)
REAL = ((256, 2, 3), (300, 1, 5), (512, 1, 0))


class Victim(StepProcess):
    """A worker that is killed in the middle of its second block."""

    asked = 0

    def ask_raw(self, line: str) -> dict[str, Any]:
        """Send a Unit; the second one is not survived."""
        self.asked += 1
        if self.asked == 2:
            threading.Timer(0.02, self.kill).start()
        return super().ask_raw(line)


def outcome(out: Path) -> tuple[np.ndarray, pa.Table]:
    labels = open_labels(out.parent.parent / "shared" / "labels.zarr")
    return labels.read(0, labels.shape[0], 0, labels.shape[1]), pq.read_table(out / "nuclei.parquet")


def cells_that_differ(one: pa.Table, other: pa.Table) -> int:
    """Count cells with other bits; all of them where the tables have different rows or columns."""
    if one.num_rows != other.num_rows or one.column_names != other.column_names:
        return max(one.num_rows, other.num_rows) * one.num_columns
    differing = 0
    for name in one.column_names:
        a, b = one.column(name).to_numpy(), other.column(name).to_numpy()
        kind = f"V{a.dtype.itemsize}"
        differing += int((a.view(kind) != b.view(kind)).sum())
    return differing


def differences(image: Path, folder: Path, ways: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Compute an image as one block and in other ways; return how many pixels and cells differed in all."""
    crew = [StepProcess(folder), StepProcess(folder)]
    labels, table = outcome(run_workflow(image, {"block_px": 16384}, folder / "whole", crew[:1]))
    height, width = labels.shape
    print(f"{height} x {width} pixels, {table.num_rows} nuclei, {table.num_columns} columns")
    pixels = cells = 0
    for side, workers, shuffle in ways:
        start = time.monotonic()
        processes = [crew[0], Victim(folder)] if shuffle == KILLED else crew[:workers]
        place = folder / f"{side}-{workers}-{shuffle}"
        way = run_workflow(image, {"block_px": side}, place, processes, shuffle)
        other = outcome(way)
        differing = int((other[0] != labels).sum()), cells_that_differ(other[1], table)
        pixels += differing[0]
        cells += differing[1]
        how = f"{workers} workers, order {shuffle}"
        if shuffle == KILLED:
            again = [one.name for one in way.parent.glob("detect.*.1")]
            if len(again) != 1:
                raise SystemExit("the worker was not killed in the middle of a block")
            how = "2 workers, one killed in the middle of a block and replaced"
        seconds = time.monotonic() - start
        print(
            f"blocks of {side}, {how}: {differing[0]} pixels, {differing[1]} cells differ ({seconds:.1f} s)"
        )
    for process in crew:
        process.close()
    return pixels, cells


def real_image(folder: Path) -> Path:
    """Stage the real image; its pixel size is not stated, so the usual one is assumed."""
    kept = ROOT / "build" / "demo" / "images" / "real"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch-test-image"), str(kept)], check=True)
    pixels = tifffile.imread(kept / "img2d.tif")
    write_image(
        folder / "image",
        (1, *pixels.shape),
        pixels.dtype,
        lambda _c, y0, y1, x0, x1: pixels[y0:y1, x0:x1],
        channels=("",),
        pixel_size_um=0.325,
    )
    return folder / "image"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a larger slide and more ways to cut it")
    full = parser.parse_args().full
    height, width = (4000, 6000) if full else (1500, 1700)
    with tempfile.TemporaryDirectory() as scratch:
        slide, real = Path(scratch, "slide"), Path(scratch, "real")
        slide.mkdir()
        real.mkdir()
        image = stage(slide, Slide(height=height, width=width, density=4000, seed=7))
        found = [differences(image, slide, FULL if full else SMALL)]
        found.append(differences(real_image(real), real, REAL))
    pixels, cells = (sum(column) for column in zip(*found, strict=True))
    figure("label pixels that differ between tilings", str(pixels), "aim 0", pixels == 0)
    figure("table cells that differ between tilings", str(cells), "aim 0", cells == 0)


if __name__ == "__main__":
    main()
