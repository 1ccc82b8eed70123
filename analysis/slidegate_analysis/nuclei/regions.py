# SPDX-License-Identifier: BSD-3-Clause
"""What lies in the regions that people drew: pixels, nuclei, brightness.

All of it is counted in whole numbers, block by block, and added up at the end; a mean is one division. So it
is bit for bit the same whatever the tiling. A nucleus lies where the pixel of its centroid does.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slidegate_analysis.images import Area, Block, Image
from slidegate_analysis.images.blocks import Bounds
from slidegate_analysis.nuclei.table import FRAME, field_of

UNNAMED = "unnamed"
"""What a region is called that nobody gave a name."""

COUNTS = "regions.json"

_COLUMNS = (
    ("name", pa.string(), False, "", "the label that a person gave the region"),
    ("class", pa.string(), False, "", "the class that a person put it in; empty where none was"),
    ("area_px", pa.int64(), False, "px2", "pixels of the image whose middle lies in it"),
    ("area_um2", pa.float64(), False, "um2", "their area"),
    ("nuclei", pa.int64(), False, "", "nuclei whose centroid lies in one of these pixels"),
    ("density_per_mm2", pa.float64(), True, "per mm2", "nuclei per area; missing where there is no pixel"),
)


@dataclass
class Counts:
    """What was counted in one region: `sums` holds the sum of the grey values of each channel."""

    pixels: int = 0
    nuclei: int = 0
    sums: list[int] = field(default_factory=list)

    def add(self, other: "Counts") -> None:
        """Add what was counted elsewhere."""
        self.pixels += other.pixels
        self.nuclei += other.nuclei
        self.sums = [one + more for one, more in zip(self.sums, other.sums, strict=True)]


def name_of(area: Area) -> str:
    """Return what a region is called in tables."""
    return area.name or UNNAMED


def find_regions(areas: Sequence[Area], y: np.ndarray, x: np.ndarray) -> tuple[list[str | None], list[int]]:
    """Find the region that each nucleus lies in, and how many lie in each region.

    Parameters
    ----------
    y, x
        int64: the pixel of each nucleus's centroid.

    Returns
    -------
    names
        Of the smallest region that holds the nucleus; None where none does.
    counts
        Per region. A nucleus in two of them, one within the other, counts in both.
    """
    chosen = np.full(len(y), -1)
    counts = [0] * len(areas)
    # the smallest comes last; equal ones in the order of their names
    for number in sorted(range(len(areas)), key=lambda one: (-areas[one].size, -one)):
        inside = areas[number].holds(y, x)
        chosen[inside] = number
        counts[number] = int(inside.sum())
    return [None if one < 0 else name_of(areas[one]) for one in chosen], counts


def count_block(areas: Sequence[Area], image: Image, block: Block, nuclei: Sequence[int]) -> list[Counts]:
    """Count the pixels of a block's core in each region, and sum up their grey values.

    Parameters
    ----------
    nuclei
        Nuclei of the block in each region.
    """
    channels = image.shape[0]
    found = [Counts(0, number, [0] * channels) for number in nuclei]
    for area, counts in zip(areas, found, strict=True):
        bounds = _common(area.bounds, block.core)
        if bounds is None:
            continue
        mask = area.mask(bounds)
        counts.pixels = int(mask.sum())
        if counts.pixels:
            counts.sums = [
                int(image.read(channel, *bounds)[mask].sum(dtype=np.int64)) for channel in range(channels)
            ]
    return found


def write_counts(folder: Path, counts: Iterable[Counts]) -> None:
    """Write what was counted in one block."""
    rows = [[one.pixels, one.nuclei, one.sums] for one in counts]
    (folder / COUNTS).write_text(json.dumps(rows), "utf-8")


def add_counts(folders: Iterable[Path], regions: int, channels: int) -> list[Counts]:
    """Add up what was counted in all blocks."""
    total = [Counts(0, 0, [0] * channels) for _ in range(regions)]
    for folder in folders:
        rows = json.loads((folder / COUNTS).read_text("utf-8"))
        for counts, (pixels, nuclei, sums) in zip(total, rows, strict=True):
            counts.add(Counts(pixels, nuclei, sums))
    return total


def make_regions_table(
    areas: Sequence[Area], counts: Sequence[Counts], channels: tuple[str, ...], pixel_size_um: float
) -> pa.Table:
    """Make the table of regions: a row each, sorted by name and class; units stand in the schema's metadata.

    Column ``c<n>_mean`` is the mean grey value of channel number n over the region's pixels, not its nuclei.
    """
    um2 = pixel_size_um * pixel_size_um
    fields = [field_of(name, kind, unit, about, nullable) for name, kind, nullable, unit, about in _COLUMNS]
    columns: list[list[Any]] = [
        [name_of(area) for area in areas],
        [area.kind for area in areas],
        [one.pixels for one in counts],
        [one.pixels * um2 for one in counts],
        [one.nuclei for one in counts],
        [one.nuclei / (one.pixels * um2 * 1e-6) if one.pixels else None for one in counts],
    ]
    for number in range(len(channels)):
        about = f"channel {number}: mean over all pixels of the region"
        fields.append(field_of(f"c{number}_mean", pa.float64(), "counts", about, True))
        columns.append([one.sums[number] / one.pixels if one.pixels else None for one in counts])
    said = {"frame": FRAME, "channels": list(channels), "pixel_size_um": pixel_size_um}
    schema = pa.schema(fields, {"slidegate": json.dumps(said, sort_keys=True)})
    return pa.Table.from_arrays(
        [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)], schema=schema
    )


def _common(one: Bounds, other: Bounds) -> Bounds | None:
    y0, x0 = max(one[0], other[0]), max(one[2], other[2])
    y1, x1 = min(one[1], other[1]), min(one[3], other[3])
    return (y0, y1, x0, x1) if y0 < y1 and x0 < x1 else None
