# SPDX-License-Identifier: BSD-3-Clause
"""Count the label pixels and table cells that differ between tilings, orders and numbers of workers.

usage: python benchmarks/same_answer.py [--full]

The named peer is the same image computed as one block.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from slidegate_analysis.images import open_labels
from slidegate_analysis.nuclei.synth import Slide
from slides import StepProcess, figure, run_workflow, stage

# Side of a block, workers, order of the blocks (0: as planned).
SMALL = ((512, 2, 3), (700, 1, 5))
FULL = ((512, 1, 0), (512, 2, 3), (700, 2, 5), (1000, 1, 9), (1000, 2, 0), (2048, 1, 4), (2048, 2, 8))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a larger slide and more ways to cut it")
    full = parser.parse_args().full
    height, width = (5500, 6100) if full else (1500, 1700)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        image = stage(folder, Slide(height=height, width=width, density=4000, seed=7))
        crew = [StepProcess(folder), StepProcess(folder)]
        labels, table = outcome(run_workflow(image, {"block_px": 16384}, folder / "whole", crew[:1]))
        print(f"{height} x {width} pixels, 2 channels, {table.num_rows} nuclei, {table.num_columns} columns")
        pixels = cells = 0
        for side, workers, shuffle in FULL if full else SMALL:
            start = time.monotonic()
            name = f"{side}-{workers}-{shuffle}"
            other = outcome(run_workflow(image, {"block_px": side}, folder / name, crew[:workers], shuffle))
            differing = int((other[0] != labels).sum()), cells_that_differ(other[1], table)
            pixels += differing[0]
            cells += differing[1]
            how = f"blocks of {side}, {workers} workers, order {shuffle}"
            print(
                f"{how}: {differing[0]} pixels, {differing[1]} cells differ "
                f"({time.monotonic() - start:.1f} s)"
            )
        for process in crew:
            process.close()
    figure("label pixels that differ between tilings", str(pixels), "aim 0", pixels == 0)
    figure("table cells that differ between tilings", str(cells), "aim 0", cells == 0)


if __name__ == "__main__":
    main()
